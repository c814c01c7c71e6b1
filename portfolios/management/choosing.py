"""How the import commands find the firm they are to work for, and say what they refused."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.core.management.base import CommandError

from accounts.queries.people import find_firm, list_firms
from portfolios.domain.statements import RefusedRow

if TYPE_CHECKING:
    from accounts.models import Firm

REFUSED_ROWS_PRINTED = 50


def choose_firm(name: str | None) -> "Firm":
    """Return the firm of that name; without a name the only one there is.

    :raises CommandError: when there is no such firm, or several to choose from.
    """
    firms = list_firms()
    if name:
        firm = find_firm(name)
        if firm is None:
            known = ", ".join(row.name for row in firms) or "none"
            raise CommandError(f"There is no firm named {name!r}. Known: {known}.")
        return firm
    if len(firms) == 1:
        return firms[0]
    if not firms:
        raise CommandError("There is no firm yet.")
    names = ", ".join(row.name for row in firms)
    raise CommandError(f"There are several firms; name one with --firm: {names}.")


def describe_refused(rows: Sequence[RefusedRow]) -> list[str]:
    """Return one line of text per refused row, cut off with a count beyond the first fifty."""
    if not rows:
        return []
    lines = [f"Refused rows: {len(rows):,}"]
    lines += [
        f"  line {row.line}: {row.culprit}: {row.reason}" for row in rows[:REFUSED_ROWS_PRINTED]
    ]
    if len(rows) > REFUSED_ROWS_PRINTED:
        lines.append(f"  … and {len(rows) - REFUSED_ROWS_PRINTED:,} more")
    return lines
