"""A household's wash sales share by share, written from the law and not from the engine.

Every share bought in the window may take up one share sold at a loss: in whatever account of the
household it was bought, and of whichever substantially identical security. Methods, section 2.4.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

# The window is 61 days: thirty before the sale, the day, thirty after.
DAYS = 30
# Of a purchase whose shares are no longer in the books it is not known how many they were.
UNKNOWN = Decimal(10) ** 12


@dataclass(frozen=True, slots=True)
class Purchase:
    """Shares bought in any account; `key` names the purchase: its account, security and day."""

    group: str
    day: date
    key: tuple[int, int, date]
    shares: Decimal  # that are still there when the day is over


@dataclass(frozen=True, slots=True)
class LossSale:
    """Shares of one lot sold at a loss in a taxable account; `key` is that of their purchase."""

    group: str
    day: date
    key: tuple[int, int, date] | None
    shares: Decimal
    what: str


def list_washed(
    sales: Iterable[LossSale], purchases: Iterable[Purchase], *, is_british: bool = False
) -> list[str]:
    """Return in words which losses are denied, matched share for share, oldest purchase first.

    In the United Kingdom only the same day and the thirty days after count.
    """
    known = dict(enumerate(purchases))
    left = {index: purchase.shares for index, purchase in known.items()}
    washed = []
    for sale in sorted(sales, key=lambda row: (row.day, row.what)):
        need = sale.shares
        for index in sorted(known, key=lambda i: (known[i].day, known[i].key)):
            purchase = known[index]
            if purchase.group != sale.group or purchase.key == sale.key or not left[index]:
                continue
            days = (purchase.day - sale.day).days
            if not (0 if is_british else -DAYS) <= days <= DAYS:
                continue
            taken = min(need, left[index])
            left[index] -= taken
            need -= taken
            if taken:
                washed.append(
                    f"{taken} of {sale.what} by the purchase of {purchase.key} on {purchase.day}"
                )
            if not need:
                break
    return washed


def group_of(securities: Iterable[object]) -> Mapping[int, str]:
    """Return the identity group by security id: its own symbol where none is given."""
    return {row.security_id: row.identical_group or row.symbol for row in securities}
