"""The fault dial: how often the paper broker's market, its reports and its wire misbehave.

Everything is off until it is turned. The same dial drives the server, which really drops the
connection, and the simulator, which only pretends to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from random import Random
from typing import Any


class WireFault(StrEnum):
    """What can happen to one request or to its answer."""

    REQUEST_LOST = "REQUEST_LOST"
    ANSWER_LOST = "ANSWER_LOST"
    TAKEN_LATE = "TAKEN_LATE"  # after the caller has given up
    THROTTLED = "THROTTLED"  # 429, and nothing done
    ERROR_500 = "ERROR_500"  # done, and then broken
    ERROR_502 = "ERROR_502"  # a proxy's page, in HTML
    TRUNCATED = "TRUNCATED"
    WRONG_SCHEMA = "WRONG_SCHEMA"  # 200, with an error inside
    HANG = "HANG"


@dataclass(frozen=True, slots=True)
class Dial:
    """How often each thing goes wrong, as a share from 0 to 1."""

    # The market.
    reject_share: float = 0.0
    partial_share: float = 0.0
    late_fill_share: float = 0.0  # of cancelled orders: one more part executes afterwards
    bust_share: float = 0.0
    correction_share: float = 0.0
    halt_share: float = 0.0  # of ticks, for each order's security
    overfill_share: float = 0.0
    absurd_price_share: float = 0.0
    # The reports.
    lost_share: float = 0.0  # each look leaves each report out with this probability
    late_share: float = 0.0  # first told some ticks after it happened
    duplicate_share: float = 0.0
    wrong_side_share: float = 0.0
    wrong_symbol_share: float = 0.0
    # The wire.
    request_lost_share: float = 0.0
    answer_lost_share: float = 0.0
    taken_late_share: float = 0.0
    throttled_share: float = 0.0
    error_500_share: float = 0.0
    error_502_share: float = 0.0
    truncated_share: float = 0.0
    wrong_schema_share: float = 0.0
    hang_share: float = 0.0
    hang_seconds: float = 60.0
    late_ticks: int = 2  # how much later "late" is
    # How the market works an order: parts of so many shares (0: as the dice say), so many a tick.
    part_quantity: int = 0
    parts_per_tick: int = 1
    checks_funds: bool = False
    # Off: it takes a second order under an id that it already has.
    has_unique_ids: bool = True


def parse_dial(values: Mapping[str, Any]) -> Dial:
    """Return the dial that JSON describes; what is not named is off. ValueError."""
    defaults = Dial()
    known = {field.name: type(getattr(defaults, field.name)) for field in fields(Dial)}
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"the dial has no {name!r}")
        _check_value(name, value, known[name])
    dial = Dial(**values)
    if sum(share for share, _fault in _wire_shares(dial)) > 1:
        raise ValueError("the shares of the wire's faults add up to more than 1")
    return dial


def _check_value(name: str, value: object, kind: type) -> None:
    if kind is bool:
        if not isinstance(value, bool):
            raise ValueError(f"{name} is true or false, not {value!r}")
        return
    number_kinds = (int,) if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, number_kinds):
        raise ValueError(f"{name} is a number, not {value!r}")
    top = 1 if name.endswith("_share") else 1_000_000
    if not 0 <= value <= top:
        raise ValueError(f"{name} is from 0 to {top}, not {value!r}")
    if name == "parts_per_tick" and value < 1:
        raise ValueError("parts_per_tick is at least 1")


def _wire_shares(dial: Dial) -> list[tuple[float, WireFault]]:
    return [(getattr(dial, f"{fault.lower()}_share"), fault) for fault in WireFault]


def draw_wire_fault(rng: Random, dial: Dial) -> WireFault | None:
    """Return what goes wrong with one request; at most one thing does."""
    dice = rng.random()
    for share, fault in _wire_shares(dial):
        if dice < share:
            return fault
        dice -= share
    return None
