"""The terms of a rebalancing policy as plain values, and the fingerprint that binds an approval."""

import hashlib
import json
from dataclasses import asdict, dataclass
from decimal import Decimal

from rebalancer.domain.kinds import BandLevel, BandMeasure, Destination, Schedule, Trigger


@dataclass(frozen=True, slots=True)
class PolicyTerms:
    """When to look, when to act and how far to go; bands are fractions, amounts in currency."""

    policy_id: int
    trigger: Trigger
    schedule: Schedule
    cron_line: str
    band_level: BandLevel
    band_measure: BandMeasure
    absolute_band: Decimal
    relative_band: Decimal
    band_floor: Decimal
    destination: Destination
    min_trade_amount: Decimal
    cash_floor_amount: Decimal
    need_horizon_days: int
    approval_hours_max: int
    price_tolerance: Decimal

    def fingerprint(self) -> str:
        """Return a hash that changes when any term does."""
        return hash_json(asdict(self))


def hash_json(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON: sorted keys, decimals as strings."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
