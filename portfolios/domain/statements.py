"""What a broker's statement says: accounts, holdings, lots, transactions, and the rows refused.

The parsers of `portfolios.statements` build these; the rules that a holding must meet live here.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from portfolios.domain.money import QUANTITY_MAX, QUANTITY_STEP, ZERO

# Brokers round the value they print: a dollar, or half a per cent of a large holding, is no fault.
VALUE_TOLERANCE = Decimal("1.00")
VALUE_TOLERANCE_RATIO = Decimal("0.005")
TOTAL_TOLERANCE = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class StatementLot:
    """Shares bought together; `cost` is the whole lot's, in US dollars."""

    acquired_date: date
    quantity: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True)
class StatementHolding:
    """One security of one account; money in US dollars, `line` is the line of the file."""

    symbol: str
    description: str
    quantity: Decimal
    price: Decimal
    market_value: Decimal
    cost_basis: Decimal | None
    lots: tuple[StatementLot, ...]
    line: int


@dataclass(frozen=True, slots=True)
class StatementAccount:
    """One account; `total` is cash plus the market values of the holdings that were read."""

    number: str
    name: str | None
    cash: Decimal
    holdings: tuple[StatementHolding, ...]
    total: Decimal


@dataclass(frozen=True, slots=True)
class StatementTransaction:
    """One event; `quantity` is never negative (`kind` says which way), `net` is the cash effect."""

    date: date
    kind: str
    symbol: str
    quantity: Decimal | None
    price: Decimal | None
    commission: Decimal | None
    net: Decimal
    account_number: str
    line: int


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that could not be believed: where it is, what is at fault, and why."""

    line: int
    culprit: str
    reason: str


@dataclass(frozen=True, slots=True)
class Statement:
    """Everything one file says; nothing in `refused_rows` is in the accounts."""

    broker: str
    as_of: date | None
    accounts: tuple[StatementAccount, ...]
    transactions: tuple[StatementTransaction, ...]
    refused_rows: tuple[RefusedRow, ...]
    notes: tuple[str, ...]
    content_sha256: str


def values_agree(expected: Decimal, printed: Decimal) -> bool:
    """Return whether two amounts differ by no more than 1.00 or 0.5 % of the expected one."""
    tolerance = max(VALUE_TOLERANCE, abs(expected) * VALUE_TOLERANCE_RATIO)
    return abs(expected - printed) <= tolerance


def find_holding_fault(*, quantity: Decimal, price: Decimal, market_value: Decimal) -> str | None:
    """Return why figures cannot be a holding's, or None; money in US dollars."""
    if quantity < 0:
        return f"quantity {quantity} is negative: short positions are not held here"
    if quantity == 0:
        return f"quantity is zero but the value is {market_value}"
    if quantity % QUANTITY_STEP:
        return f"quantity {quantity} has more than 8 decimal places"
    if quantity > QUANTITY_MAX:
        return f"quantity {quantity} is above {QUANTITY_MAX:,.0f}"
    if price <= 0:
        return f"price {price} is not above zero"
    if market_value < 0:
        return f"value {market_value} is negative"
    if not values_agree(quantity * price, market_value):
        return (
            f"quantity {quantity} times price {price} is {quantity * price:.2f}, "
            f"but the value is {market_value}"
        )
    return None


def find_lots_fault(
    *, lots: tuple[StatementLot, ...], quantity: Decimal, cost_basis: Decimal | None
) -> str | None:
    """Return why lots do not add up to their holding, or None; no lots at all is no fault."""
    if not lots:
        return None
    lots_quantity = sum((lot.quantity for lot in lots), ZERO)
    if any(lot.quantity <= 0 for lot in lots):
        return "a lot's quantity is not above zero"
    if any(lot.quantity % QUANTITY_STEP for lot in lots):
        return "a lot's quantity has more than 8 decimal places"
    if lots_quantity != quantity:
        return f"lots add up to {lots_quantity} shares, but the holding is {quantity}"
    if cost_basis is None:
        return None
    lots_cost = sum((lot.cost for lot in lots), ZERO)
    # Each lot's cost is rounded to the cent on its own.
    if abs(lots_cost - cost_basis) > TOTAL_TOLERANCE * len(lots):
        return f"lots cost {lots_cost} together, but the holding's cost basis is {cost_basis}"
    return None


def find_trade_fault(
    *,
    kind: str,
    quantity: Decimal | None,
    price: Decimal | None,
    commission: Decimal | None,
    net: Decimal,
) -> str | None:
    """Return why a purchase's or sale's figures contradict each other, or None."""
    if kind not in {"buy", "sell"}:
        return None
    if not quantity or not price:
        return f"a {kind} without quantity or price"
    cost = commission or ZERO
    expected = -(quantity * price) - cost if kind == "buy" else quantity * price - cost
    if not values_agree(expected, net):
        return (
            f"a {kind} of {quantity} at {price} with commission {cost} should move "
            f"{expected:.2f} of cash, but the net is {net}"
        )
    return None
