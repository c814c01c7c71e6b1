"""The order in which a sale uses up lots: first in, highest cost, least tax, as the seller says."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from enum import StrEnum

from portfolios.domain.money import ZERO, split_by_ratio
from portfolios.domain.tax.regime import OpenLot, Rates, TaxRegime


class LotMethod(StrEnum):
    """How lots are chosen; where the law prescribes an order (a pool) the choice has no effect."""

    FIFO = "FIFO"
    LIFO = "LIFO"
    HIFO = "HIFO"
    LOFO = "LOFO"
    LEAST_TAX = "LEAST_TAX"
    AVERAGE = "AVERAGE"
    SPECIFIED = "SPECIFIED"


def order_lots(
    *,
    lots: Sequence[OpenLot],
    method: LotMethod,
    regime: TaxRegime,
    day: date,
    unit_price: Decimal,
    rates: Rates,
    specified_ids: Sequence[int] = (),
) -> tuple[OpenLot, ...]:
    """Return lots of one security in the order in which a sale on `day` uses them up.

    Ties go to the smaller tax a share, then the older, then the lower id. Age is that of the
    holding period. AVERAGE gives the oldest first, with costs averaged for showing; SPECIFIED gives
    the lots named and no others.

    :raises ValueError: when a specified lot is not among the lots, or is named twice.
    """
    if method is LotMethod.SPECIFIED:
        return _pick_lots(lots, specified_ids)
    if method is LotMethod.AVERAGE:
        lots = average_lots(lots)

    def key(lot: OpenLot) -> tuple[Decimal | int, Decimal, date, int]:
        tax = _tax_per_share(lot, regime=regime, day=day, unit_price=unit_price, rates=rates)
        first: dict[LotMethod, Decimal | int] = {
            LotMethod.LIFO: -lot.holding_start.toordinal(),
            LotMethod.HIFO: -lot.unit_cost,
            LotMethod.LOFO: lot.unit_cost,
            LotMethod.LEAST_TAX: tax,
        }
        return first.get(method, lot.holding_start.toordinal()), tax, lot.holding_start, lot.lot_id

    return tuple(sorted(lots, key=key))


def average_lots(lots: Sequence[OpenLot]) -> tuple[OpenLot, ...]:
    """Return the lots with their total cost shared by quantity, to the cent.

    A view only: in the United States average basis is for fund shares (26 CFR 1.1012-1(e)).
    """
    if not lots:
        return ()
    total = sum((lot.cost for lot in lots), ZERO)
    costs = split_by_ratio(total, [lot.quantity for lot in lots])
    return tuple(replace(lot, cost=cost) for lot, cost in zip(lots, costs, strict=True))


def _pick_lots(lots: Sequence[OpenLot], specified_ids: Sequence[int]) -> tuple[OpenLot, ...]:
    known = {lot.lot_id for lot in lots}
    unknown = [lot_id for lot_id in specified_ids if lot_id not in known]
    if unknown or len(set(specified_ids)) < len(specified_ids):
        raise ValueError(f"lots to sell must be of {sorted(known)}, each once: {specified_ids}")
    return tuple(lot for lot_id in specified_ids for lot in lots if lot.lot_id == lot_id)


def _tax_per_share(
    lot: OpenLot, *, regime: TaxRegime, day: date, unit_price: Decimal, rates: Rates
) -> Decimal:
    long_term = regime.is_long_term(acquired_date=lot.holding_start, sold_date=day)
    return (rates.long if long_term else rates.short) * (unit_price - lot.unit_cost)
