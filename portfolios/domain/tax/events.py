"""What a tax law reads and answers: purchases, sales, realised gains, the basis of what is left.

Plain values, one household at a time. Money is in cents of one currency; shares are exact.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from portfolios.domain.money import ZERO, round_money


class LedgerFault(ValueError):
    """Purchases and sales that contradict each other; no tax can be told from them."""


@dataclass(frozen=True, slots=True)
class Acquisition:
    """Shares that came in as one lot: bought, transferred in, or from a reinvested dividend.

    `day` is when they were acquired (for a transfer between own accounts: originally), `group`
    names the securities that are substantially identical (the symbol where there is no other), and
    `is_sheltered` marks a tax-deferred or tax-free account.
    """

    lot_id: int
    account_id: int
    group: str
    day: date
    quantity: Decimal
    cost: Decimal
    is_sheltered: bool


@dataclass(frozen=True, slots=True)
class Sale:
    """One lot's part in a sale; `cost` is the booked cost, before any adjustment of tax law."""

    sale_id: int
    lot_id: int
    account_id: int
    group: str
    day: date
    quantity: Decimal
    proceeds: Decimal
    cost: Decimal
    acquired_day: date
    is_sheltered: bool


@dataclass(frozen=True, slots=True)
class Realised:
    """What one lot's part in a sale reports.

    `gain` is what is reported after all adjustments (a denied loss is not in it), `disallowed` >= 0
    the part of a loss that was denied, `lost` the part of `disallowed` that no basis takes up.
    A lot whose shares have different holding periods gives one row for each term.
    """

    sale_id: int
    lot_id: int
    day: date
    gain: Decimal
    disallowed: Decimal
    is_long_term: bool
    lost: Decimal

    @property
    def is_lost_for_ever(self) -> bool:
        """Return whether some of the loss will never be deducted."""
        return self.lost > 0


@dataclass(frozen=True, slots=True)
class BasisPiece:
    """Shares of one lot that tax law treats alike; `cost` includes `adjustment`."""

    quantity: Decimal
    cost: Decimal
    holding_start: date
    adjustment: Decimal


@dataclass(frozen=True, slots=True)
class LotBasis:
    """What is left of a lot as tax law sees it, in the order in which a sale uses it up."""

    lot_id: int
    pieces: tuple[BasisPiece, ...]


@dataclass(frozen=True, slots=True)
class TaxView:
    """The whole ledger as tax law sees it; lots that are sold out are not in `lots`.

    Sales in sheltered accounts report nothing, so they have no row in `realised`.
    """

    realised: tuple[Realised, ...]
    lots: dict[int, LotBasis]


def index_ledger(
    acquisitions: Iterable[Acquisition], sales: Iterable[Sale]
) -> tuple[dict[int, Acquisition], list[Sale]]:
    """Return lots by id and sales in an order of their own, once they are known to agree.

    Sales come by day, then by age of the shares sold (the order of a day's trades is not recorded),
    then by ids, so that the order of the rows given never matters.

    :raises LedgerFault: naming the lot or sale that cannot be right.
    """
    lots: dict[int, Acquisition] = {}
    for lot in acquisitions:
        if lot.lot_id in lots:
            raise LedgerFault(f"lot {lot.lot_id} was acquired twice")
        _check_amounts(f"lot {lot.lot_id}", lot.quantity, [lot.cost])
        if lot.cost < 0:
            raise LedgerFault(f"lot {lot.lot_id} has a negative cost")
        lots[lot.lot_id] = lot
    ordered = sorted(
        sales,
        key=lambda s: (s.day, s.acquired_day, s.lot_id, s.sale_id, s.quantity, s.proceeds, s.cost),
    )
    _check_sales(lots, ordered)
    return lots, ordered


def _check_sales(lots: dict[int, Acquisition], sales: Sequence[Sale]) -> None:
    sold: dict[int, Decimal] = defaultdict(lambda: ZERO)
    for sale in sales:
        name = f"sale {sale.sale_id} of lot {sale.lot_id}"
        lot = lots.get(sale.lot_id)
        if lot is None:
            raise LedgerFault(f"{name}: this lot was never acquired")
        _check_amounts(name, sale.quantity, [sale.proceeds, sale.cost])
        if (sale.group, sale.acquired_day) != (lot.group, lot.day):
            raise LedgerFault(f"{name}: the lot is {lot.group} of {lot.day}")
        if sale.is_sheltered != lot.is_sheltered:
            raise LedgerFault(f"{name}: sale and lot disagree on the kind of account")
        if sale.day < lot.day:
            raise LedgerFault(f"{name}: sold on {sale.day}, before it was acquired on {lot.day}")
        sold[sale.lot_id] += sale.quantity
        if sold[sale.lot_id] > lot.quantity:
            raise LedgerFault(f"{name}: more was sold than the {lot.quantity} acquired")


def _check_amounts(name: str, quantity: Decimal, amounts: Iterable[Decimal]) -> None:
    if not quantity.is_finite() or quantity <= 0:
        raise LedgerFault(f"{name} has no positive quantity: {quantity}")
    for amount in amounts:
        if not amount.is_finite():
            raise LedgerFault(f"{name} has an amount that is no number: {amount}")
        if amount != round_money(amount):
            raise LedgerFault(f"{name} has an amount that is not in whole cents: {amount}")
