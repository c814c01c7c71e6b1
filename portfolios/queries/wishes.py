"""The wishes of a household, for people to read."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from accounts.domain.roles import WishKind

if TYPE_CHECKING:
    from accounts.models import Household

_WORDS = {
    WishKind.NEVER_BUY: "Never buy {}",
    WishKind.NEVER_SELL: "Never sell {}",
    WishKind.EXCLUDE: "Keep {} out",
}


@dataclass(frozen=True, slots=True)
class WishRow:
    """A wish in words, with who recorded it; `ended_at` is None while it is in force."""

    wish_id: int
    words: str
    note: str
    recorded_by: str
    recorded_at: datetime
    ended_at: datetime | None


def list_wishes(household: "Household") -> list[WishRow]:
    """Return a household's wishes, those in force first, newest first."""
    rows = [
        WishRow(
            wish_id=wish.pk,
            words=_WORDS[WishKind(wish.kind)].format(
                wish.subject.replace("-", " ") if wish.kind == WishKind.EXCLUDE else wish.subject
            ),
            note=wish.note,
            recorded_by=wish.recorded_by.name,
            recorded_at=wish.recorded_at,
            ended_at=wish.ended_at,
        )
        for wish in household.wishes.select_related("recorded_by").order_by("-pk")
    ]
    return sorted(rows, key=lambda row: row.ended_at is not None)
