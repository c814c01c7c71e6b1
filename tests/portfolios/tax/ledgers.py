"""Small ledgers for the tests of tax law: terse to write by hand, or drawn at random."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

from portfolios.domain.money import round_money
from portfolios.domain.tax.events import Acquisition, Realised, Sale, TaxView

D = Decimal
JOINT, SPOUSE, IRA = 1, 2, 3
FIRST_DAY = date(2023, 12, 1)


class Ledger:
    """Purchases and sales in the order they are written; lots and sales are numbered from 1."""

    def __init__(self):
        self.acquisitions: list[Acquisition] = []
        self.sales: list[Sale] = []

    def buy(self, day, quantity, cost, account_id=JOINT, group="VTI") -> int:
        lot_id = len(self.acquisitions) + 1
        self.acquisitions.append(
            Acquisition(
                lot_id=lot_id,
                account_id=account_id,
                group=group,
                day=as_day(day),
                quantity=D(quantity),
                cost=D(cost),
                is_sheltered=account_id == IRA,
            )
        )
        return lot_id

    def sell(self, lot_id, day, quantity, proceeds, sale_id=None) -> int:
        lot = self.acquisitions[lot_id - 1]
        sold, cost = self.sold(lot_id)
        quantity = D(quantity)
        is_last = sold + quantity == lot.quantity
        part = lot.cost - cost if is_last else round_money(lot.cost * quantity / lot.quantity)
        self.sales.append(
            Sale(
                sale_id=sale_id or len(self.sales) + 1,
                lot_id=lot_id,
                account_id=lot.account_id,
                group=lot.group,
                day=as_day(day),
                quantity=quantity,
                proceeds=D(proceeds),
                cost=min(part, lot.cost - cost),
                acquired_day=lot.day,
                is_sheltered=lot.is_sheltered,
            )
        )
        return self.sales[-1].sale_id

    def sold(self, lot_id) -> tuple[Decimal, Decimal]:
        """Return the shares and the cost that sales have taken of a lot."""
        mine = [sale for sale in self.sales if sale.lot_id == lot_id]
        return sum((s.quantity for s in mine), D(0)), sum((s.cost for s in mine), D(0))

    def left(self, lot_id) -> Decimal:
        return self.acquisitions[lot_id - 1].quantity - self.sold(lot_id)[0]

    def copy(self) -> "Ledger":
        other = Ledger()
        other.acquisitions, other.sales = list(self.acquisitions), list(self.sales)
        return other

    def economic_gain(self) -> Decimal:
        """Return what the taxable sales brought over their booked cost."""
        return sum((s.proceeds - s.cost for s in self.sales if not s.is_sheltered), D(0))


def as_day(day) -> date:
    return day if isinstance(day, date) else date.fromisoformat(day)


def row_of(view: TaxView, sale_id, lot_id=None) -> Realised:
    """Return the one row of a sale (of a lot)."""
    [row] = [
        row for row in view.realised if row.sale_id == sale_id and lot_id in (None, row.lot_id)
    ]
    return row


def basis_of(view: TaxView, lot_id) -> Decimal:
    return sum((piece.cost for piece in view.lots[lot_id].pieces), D(0))


def draw_ledger(
    pick: Callable[[int, int], int], *, accounts=(JOINT, SPOUSE, IRA), is_fractional=False
) -> Ledger:
    """Draw a short household history; `pick(low, high)` gives whole numbers, both ends included.

    Whole shares at whole prices by default, so that every share of a lot is like every other.
    """
    ledger, day = Ledger(), FIRST_DAY
    for _step in range(pick(2, 12)):
        day += timedelta(days=pick(0, 3) * pick(0, 12))
        held = [
            lot.lot_id for lot in ledger.acquisitions if ledger.left(lot.lot_id) and lot.day <= day
        ]
        if not held or pick(0, 1):
            quantity = D(pick(1, 6000)) / 1000 if is_fractional else D(pick(1, 6))
            cost = D(pick(0, 9000)) / 100 if is_fractional else quantity * pick(1, 9)
            account_id = accounts[pick(0, len(accounts) - 1)]
            ledger.buy(day, quantity, cost, account_id, "VTI" if pick(0, 4) else "AGG")
            continue
        lot_id = held[pick(0, len(held) - 1)]
        left = ledger.left(lot_id)
        quantity = D(pick(1, int(left * 1000))) / 1000 if is_fractional else D(pick(1, int(left)))
        proceeds = D(pick(0, 9000)) / 100 if is_fractional else quantity * pick(0, 9)
        ledger.sell(lot_id, day, quantity, proceeds)
    return ledger
