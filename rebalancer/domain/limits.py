"""Limits before the market: how large, how many, how fast, at which price. Pure rules on Decimals.

A rule answers with a sentence that names what is too much, or with an empty text. Reaching a limit
is allowed, passing it is not. A firm that never set limits has the ones written here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum

from portfolios.domain.kinds import Side
from portfolios.domain.money import BPS, ZERO, round_money
from rebalancer.domain.execution import measure_fill_price
from rebalancer.domain.kinds import CostSource, SliceStrategy


class SwitchScope(StrEnum):
    """How much a switch stops."""

    ALL = "ALL"  # every firm of the installation
    FIRM = "FIRM"
    ACCOUNT = "ACCOUNT"
    SECURITY = "SECURITY"
    BROKER = "BROKER"


class LimitStatus(StrEnum):
    """The life of a set of limits; its figures never change."""

    PROPOSED = "PROPOSED"
    IN_FORCE = "IN_FORCE"
    RETIRED = "RETIRED"
    REFUSED = "REFUSED"
    WITHDRAWN = "WITHDRAWN"


class RefusalCode(StrEnum):
    """Why an order may not go to market, or not yet."""

    STOPPED = "STOPPED"
    CLOSED = "CLOSED"
    HALTED = "HALTED"
    # Those below are final: see PASSING.
    NOT_IN_USE = "NOT_IN_USE"
    FROZEN = "FROZEN"
    ORDER_AMOUNT = "ORDER_AMOUNT"
    VOLUME = "VOLUME"
    COLLAR = "COLLAR"
    DUPLICATE = "DUPLICATE"
    COOL_DOWN = "COOL_DOWN"
    TURNOVER = "TURNOVER"
    ACCOUNT_ORDERS = "ACCOUNT_ORDERS"
    GAIN = "GAIN"
    FIRM_AMOUNT = "FIRM_AMOUNT"
    FIRM_ORDERS = "FIRM_ORDERS"
    RUN = "RUN"  # nothing wrong with it, but with another order of the same plan


PASSING = frozenset({RefusalCode.STOPPED, RefusalCode.CLOSED, RefusalCode.HALTED})


@dataclass(frozen=True, slots=True)
class Limits:
    """What a firm lets through. Amounts in its currency; shares are fractions of one."""

    order_amount_max: Decimal = Decimal(10_000_000)
    volume_share_max: Decimal = Decimal("0.25")  # of the shares that trade on a usual day
    collar_bps: Decimal = Decimal(500)  # from the newest price
    account_turnover_max: Decimal = Decimal(3)  # bought and sold in a day, of the account's value
    account_orders_max: int = 500  # a day
    account_gain_max: Decimal = Decimal(1_000_000)  # realised in a day
    firm_amount_max: Decimal = Decimal(1_000_000_000)  # bought and sold in a day
    firm_orders_max: int = 100_000  # a day
    rate_per_minute: int = 5_000  # instructions to brokers
    duplicate_minutes: int = 30  # 0: the detector is off
    cool_down_days: int = 0  # between automatic rebalances of an account; 0: none
    open_minutes: int = 5  # nothing is sent in the first ones of a session
    close_minutes: int = 5  # nor in the last ones
    settlement_days: int = 1  # sessions; a buy may count what settles within them
    # How large blocks are spread over their day; as delivered each goes whole, at once.
    slice_strategy: str = SliceStrategy.AT_ONCE
    slice_share_min: Decimal = Decimal("0.01")  # of a usual day's volume: smaller blocks go whole
    participation_max: Decimal = Decimal("0.10")  # of what trades while a slice is at work
    risk_aversion: Decimal = Decimal(1)  # Almgren and Chriss's lambda, times a million
    cost_source: str = CostSource.STATED


DEFAULTS = Limits()
FIELD_NAMES = tuple(field.name for field in fields(Limits))


@dataclass(frozen=True, slots=True)
class Use:
    """What was entered on a day, or would be."""

    amount: Decimal = ZERO
    order_count: int = 0
    realised_gain: Decimal = ZERO

    def add(self, other: "Use") -> "Use":
        """Return both together."""
        return Use(
            self.amount + other.amount,
            self.order_count + other.order_count,
            self.realised_gain + other.realised_gain,
        )


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """An order as it is about to be sent, with the newest price of its security."""

    order_id: int
    firm_id: int
    account_id: int
    proposal_id: int
    security_id: int
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    half_spread_bps: Decimal
    daily_volume: Decimal | None
    broker: str

    @property
    def amount(self) -> Decimal:
        """What it is worth at that price, to the cent."""
        return round_money(self.quantity * self.price)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an order does not go. Final: it never will, and with it its account's whole run."""

    code: RefusalCode
    sentence: str
    is_final: bool


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that would be passed, in a sentence that names it."""

    code: RefusalCode
    sentence: str
    order_id: int | None = None  # None: no single order is to blame


def check_order(*, limits: Limits, order: OrderFacts) -> Breach | None:
    """Return what is wrong with one order by itself, or None."""
    found = _check_size(limits, order) or _check_price(limits, order)
    return found and replace(found, order_id=order.order_id)


def _check_size(limits: Limits, order: OrderFacts) -> Breach | None:
    quantity, price, what = order.quantity, order.price, _name(order)
    if not _is_sound(quantity) or not _is_sound(price):
        return Breach(RefusalCode.ORDER_AMOUNT, f"{what} has no amount that could be checked.")
    amount = quantity * price
    if amount > limits.order_amount_max:
        return Breach(
            RefusalCode.ORDER_AMOUNT,
            f"{what} comes to {_write(amount)}; "
            f"one order may be {_write(limits.order_amount_max)}.",
        )
    # A volume that nobody stated limits nothing; the amount does.
    volume = order.daily_volume
    if volume is not None and quantity > volume * limits.volume_share_max:
        return Breach(
            RefusalCode.VOLUME,
            f"{what} is more than {_write_share(limits.volume_share_max)} of the "
            f"{volume.normalize():f} that trade on a usual day.",
        )
    return None


def _check_price(limits: Limits, order: OrderFacts) -> Breach | None:
    """Look whether the half spread alone leads beyond the collar: it could never trade."""
    expected = measure_fill_price(
        side=order.side, price=order.price, half_spread_bps=order.half_spread_bps
    )
    collar = build_collar(side=order.side, price=order.price, limits=limits)
    if (expected > collar) if order.side is Side.BUY else (expected < collar):
        return Breach(
            RefusalCode.COLLAR,
            f"{_name(order)} would trade near {expected.normalize():f}, "
            f"beyond the price collar of {collar.normalize():f}.",
        )
    return None


def check_account_use(*, limits: Limits, use: Use, value: Decimal, name: str) -> Breach | None:
    """Return which limit of an account and day `use` passes, or None; `value` is the account's."""
    if use.order_count > limits.account_orders_max:
        return Breach(
            RefusalCode.ACCOUNT_ORDERS,
            f"{name} would have {use.order_count} orders in a day; "
            f"{limits.account_orders_max} are allowed.",
        )
    cap = limits.account_turnover_max * value
    if use.amount > cap:
        return Breach(
            RefusalCode.TURNOVER,
            f"{name} would buy and sell {_write(use.amount)} in a day; {_write(cap)} is allowed, "
            f"which is {_write_share(limits.account_turnover_max)} of its value.",
        )
    if use.realised_gain > limits.account_gain_max:
        return Breach(
            RefusalCode.GAIN,
            f"{name} would realise {_write(use.realised_gain)} of gains in a day; "
            f"{_write(limits.account_gain_max)} is allowed.",
        )
    return None


def check_firm_use(*, limits: Limits, use: Use) -> Breach | None:
    """Return which limit of the firm and day `use` passes, or None."""
    if use.amount > limits.firm_amount_max:
        return Breach(
            RefusalCode.FIRM_AMOUNT,
            f"The firm would buy and sell {_write(use.amount)} in a day; "
            f"{_write(limits.firm_amount_max)} is allowed.",
        )
    if use.order_count > limits.firm_orders_max:
        return Breach(
            RefusalCode.FIRM_ORDERS,
            f"The firm would enter {use.order_count} orders in a day; "
            f"{limits.firm_orders_max} are allowed.",
        )
    return None


def is_cooling_down(*, limits: Limits, earlier_date: date, session_date: date) -> bool:
    """Return whether an automatic rebalance on one day comes too soon after an earlier one."""
    return timedelta(0) <= session_date - earlier_date < timedelta(days=limits.cool_down_days)


def is_repeated(*, limits: Limits, earlier: datetime, now: datetime) -> bool:
    """Return whether an equal order came so shortly before that this one must be its double."""
    return now - earlier < timedelta(minutes=limits.duplicate_minutes)


def build_collar(*, side: Side, price: Decimal, limits: Limits) -> Decimal:
    """Return the worst price that an order may trade at, in ticks, never beyond the collar.

    A tick is a cent, or a hundredth of one below a price of one.
    """
    sign = 1 if side is Side.BUY else -1
    exact = price * (1 + sign * limits.collar_bps * BPS)
    tick = Decimal("0.01") if exact >= 1 else Decimal("0.0001")
    rounding = ROUND_FLOOR if side is Side.BUY else ROUND_CEILING
    rounded = (exact / tick).to_integral_value(rounding) * tick
    return max(rounded, tick)


def find_wait(
    *, now: datetime, hours: tuple[datetime, datetime] | None, limits: Limits, exchange: str
) -> str:
    """Return why nothing may be sent at `now`, empty when it may; `hours` are today's, if any."""
    if hours is None:
        return f"{exchange} is closed today, or its hours are not known."
    opens = hours[0] + timedelta(minutes=limits.open_minutes)
    closes = hours[1] - timedelta(minutes=limits.close_minutes)
    if now < opens:
        return f"{exchange} is not open yet: orders go from {opens:%H:%M} UTC on."
    if now >= closes:
        return f"{exchange} has closed for today: orders went until {closes:%H:%M} UTC."
    return ""


def check_limits(limits: Limits) -> str:
    """Return what makes no sense in these limits, empty when they do."""
    for name in FIELD_NAMES:
        value = getattr(limits, name)
        if name in CHOICES:
            if value not in CHOICES[name]:
                return f"{describe(name)} must be one of {', '.join(CHOICES[name])}."
            continue
        if isinstance(value, Decimal) and not value.is_finite():
            return f"{describe(name)} must be a number."
        low, high = BOUNDS[name]
        if not low <= value <= high:
            return f"{describe(name)} must lie between {low} and {high}."
    return ""


def describe(name: str) -> str:
    """Return what a limit is called on pages."""
    return LABELS[name]


LABELS = {
    "order_amount_max": "Largest order",
    "volume_share_max": "Share of a usual day's volume",
    "collar_bps": "Price collar",
    "account_turnover_max": "Turnover of an account a day",
    "account_orders_max": "Orders of an account a day",
    "account_gain_max": "Gains of an account a day",
    "firm_amount_max": "Turnover of the firm a day",
    "firm_orders_max": "Orders of the firm a day",
    "rate_per_minute": "Instructions a minute",
    "duplicate_minutes": "Minutes in which an equal order is a double",
    "cool_down_days": "Days between automatic rebalances",
    "open_minutes": "Minutes without orders after the open",
    "close_minutes": "Minutes without orders before the close",
    "settlement_days": "Sessions until a trade settles",
    "slice_strategy": "How large blocks are spread over the day",
    "slice_share_min": "Smallest block that is spread, of a usual day's volume",
    "participation_max": "Share of the market while a block is spread",
    "risk_aversion": "Risk aversion of the schedule by risk",
    "cost_source": "Spread and impact that plans reckon with",
}
# In which unit a figure is meant, so that pages can write it; what is counted has none.
UNITS = {
    "order_amount_max": "money",
    "account_gain_max": "money",
    "firm_amount_max": "money",
    "volume_share_max": "share",
    "account_turnover_max": "share",
    "collar_bps": "bps",
    "slice_share_min": "share",
    "participation_max": "share",
    "risk_aversion": "number",
    "slice_strategy": "choice",
    "cost_source": "choice",
}
# What is chosen rather than measured, in the words of pages.
CHOICES: Mapping[str, Mapping[str, str]] = {
    "slice_strategy": {
        SliceStrategy.AT_ONCE: "Not at all: each block goes whole",
        SliceStrategy.TWAP: "Evenly in time",
        SliceStrategy.VWAP: "As the market usually trades",
        SliceStrategy.SCHEDULE: "By risk: impact against the market's moves",
    },
    "cost_source": {
        CostSource.STATED: "The firm's own figures",
        CostSource.MEASURED: "Measured from executions, where there are enough",
    },
}
BOUNDS: dict[str, tuple[Decimal | int, Decimal | int]] = {
    "order_amount_max": (Decimal("0.01"), Decimal("1e11")),
    "volume_share_max": (Decimal("0.0001"), Decimal(1)),
    "collar_bps": (Decimal(1), Decimal(5_000)),
    "account_turnover_max": (Decimal("0.01"), Decimal(9)),
    "account_orders_max": (1, 100_000),
    "account_gain_max": (Decimal(0), Decimal("1e11")),
    "firm_amount_max": (Decimal("0.01"), Decimal("9e11")),
    "firm_orders_max": (1, 10_000_000),
    "rate_per_minute": (1, 1_000_000),
    "duplicate_minutes": (0, 1_440),
    "cool_down_days": (0, 366),
    "open_minutes": (0, 180),
    "close_minutes": (0, 180),
    "settlement_days": (0, 5),
    "slice_share_min": (Decimal("0.0001"), Decimal(1)),
    "participation_max": (Decimal("0.0001"), Decimal(1)),
    "risk_aversion": (Decimal(0), Decimal(10_000)),
}


def _name(order: OrderFacts) -> str:
    return f"{order.side} {order.quantity.normalize():f} {order.symbol}"


def _is_sound(number: Decimal) -> bool:
    return number.is_finite() and number > 0


def _write(amount: Decimal) -> str:
    return f"{amount:,.2f}"


def _write_share(share: Decimal) -> str:
    return f"{(share * 100).normalize():f} %"
