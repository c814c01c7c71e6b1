"""The terms of a rebalancing policy as plain values, and the fingerprint that binds an approval."""

import hashlib
import json
from dataclasses import asdict, dataclass
from decimal import Decimal

from portfolios.domain.money import BPS, round_money
from portfolios.domain.tax.lot_methods import LotMethod
from rebalancer.domain.kinds import (
    BandLevel,
    BandMeasure,
    CapKind,
    Destination,
    DriftMeasure,
    Schedule,
    Trigger,
)


@dataclass(frozen=True, slots=True)
class CapTerms:
    """No more than this weight in one asset class, sector, issuer or security."""

    kind: CapKind
    name: str
    max_weight: Decimal


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
    # What correcting may cost, tax included, per unit traded, at five points off target.
    willingness: Decimal = Decimal(5)
    drift_measure: DriftMeasure = DriftMeasure.WEIGHT
    risk_aversion: Decimal = Decimal(4)
    risk_horizon_years: Decimal = Decimal("0.5")
    tracking_error_max: Decimal = Decimal("0.02")  # per year; for the risk trigger
    destination_share: Decimal = Decimal("0.5")  # BETWEEN: 0 is the band's edge, 1 the target
    hurdle_bps: Decimal = Decimal(0)  # of value; a plan that gains less is not proposed
    ticket_price: Decimal = Decimal(0)  # what one trade fewer is worth
    commission_fixed: Decimal = Decimal(0)  # per trade, in cash
    commission_bps: Decimal = Decimal(0)
    turnover_max: Decimal | None = None  # of value, buys and sells together, per plan
    caps: tuple[CapTerms, ...] = ()
    lot_method: LotMethod = LotMethod.LEAST_TAX
    harvests_losses: bool = False
    harvest_benefit_min: Decimal = Decimal(20)
    harvest_drift_max: Decimal = Decimal("0.02")  # how far harvesting may move total drift
    hold_for_long_term_days: int = 0  # keep short-term gains so near to long-term; 0: off
    transition_years: int = 0  # spread the legacy's gains over so many tax years; 0: off
    transition_start_year: int = 0

    @property
    def looks_at_risk(self) -> bool:
        """Return whether this policy needs the securities' covariance."""
        return self.trigger is Trigger.RISK or self.drift_measure is DriftMeasure.RISK

    def measure_commission(self, amount: Decimal) -> Decimal:
        """Return what the broker charges for a trade of `amount`, to the cent."""
        return round_money(self.commission_fixed + amount * self.commission_bps * BPS)

    def fingerprint(self) -> str:
        """Return a hash that changes when any term does."""
        return hash_json(asdict(self))


def hash_json(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON: sorted keys, decimals as strings."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
