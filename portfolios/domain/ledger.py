"""The transfers that each business event leaves in the books: balanced by construction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from portfolios.domain.kinds import Pocket, Side


@dataclass(frozen=True, slots=True)
class Unit:
    """What a transfer counts: the currency, or the shares of one security."""

    currency: str = ""
    security_id: int | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    """A positive quantity of one unit, from one pocket to another."""

    source: Pocket
    target: Pocket
    quantity: Decimal
    unit: Unit

    def __post_init__(self) -> None:
        if not self.quantity.is_finite() or self.quantity <= 0:
            raise ValueError(f"a transfer moves something: {self.quantity}")
        if self.source == self.target:
            raise ValueError(f"a transfer goes somewhere: {self.source}")


def transfers_for_trade(
    *, side: Side, security_id: int, quantity: Decimal, amount: Decimal, currency: str
) -> tuple[Transfer, ...]:
    """Return the transfers of a buy or sale; `amount` is the cash paid or received."""
    cash, shares = Unit(currency=currency), Unit(security_id=security_id)
    if side is Side.BUY:
        moves = [
            (Pocket.CASH, Pocket.MARKET, amount, cash),
            (Pocket.MARKET, Pocket.SECURITIES, quantity, shares),
        ]
    else:
        moves = [
            (Pocket.SECURITIES, Pocket.MARKET, quantity, shares),
            (Pocket.MARKET, Pocket.CASH, amount, cash),
        ]
    # A tiny sale may bring less than half a cent: then no money moves.
    return tuple(Transfer(*move) for move in moves if move[2] > 0)


def transfer_for_cash(*, pocket: Pocket, amount: Decimal, currency: str) -> Transfer:
    """Return the transfer of a deposit or dividend (amount > 0) or of a withdrawal (amount < 0)."""
    unit = Unit(currency=currency)
    if amount > 0:
        return Transfer(pocket, Pocket.CASH, amount, unit)
    return Transfer(Pocket.CASH, pocket, -amount, unit)


def reverse_transfers(
    transfers: Sequence[Transfer], shares_now: Mapping[int, Decimal]
) -> tuple[Transfer, ...]:
    """Return the transfers that take others back; shares as many as they are in today's units.

    `shares_now` holds that number by security id, summed over the transfers of one security.
    """
    back: list[Transfer] = []
    done: set[int] = set()
    for move in transfers:
        quantity, security_id = move.quantity, move.unit.security_id
        if security_id is not None:
            if security_id in done:
                continue
            done.add(security_id)
            quantity = shares_now[security_id]
        # A crumb may not survive a reverse split.
        if quantity > 0:
            back.append(Transfer(move.target, move.source, quantity, move.unit))
    return tuple(back)
