"""Wishes about securities and themes: checked against the firm's list, then kept with people."""

from django.db import transaction

from accounts.domain.roles import WishKind
from accounts.operations import wishes
from accounts.queries.people import get_household
from portfolios.queries.securities import list_symbols, list_themes
from robo.common.errors import Refused


class UnknownSubject(Refused):
    """The wish names a security or theme that the firm does not have."""


@transaction.atomic
def record_wish(
    *, household_id: int, kind: WishKind, subject: str, note: str, actor_id: int
) -> None:
    """Record a household's wish about a security (by symbol) or a theme of its firm.

    :raises UnknownSubject: when the firm has no such security or theme.
    :raises Conflict: when the household has that wish already.
    """
    firm_id = get_household(household_id).firm_id
    if kind is WishKind.EXCLUDE:
        if subject not in list_themes(firm_id):
            raise UnknownSubject(f"None of the firm's securities carries the theme “{subject}”.")
    elif subject not in list_symbols(firm_id):
        raise UnknownSubject(f"{subject} is not one of the firm's securities.")
    wishes.record_wish(
        household_id=household_id, kind=kind, subject=subject, note=note, actor_id=actor_id
    )
