"""Reads of halts: what is held up now, and what was."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db.models import Q, QuerySet

from portfolios import models


def get_halt_reasons(*, security_ids: Iterable[int], now: datetime) -> dict[int, str]:
    """Return why each of these securities is halted at `now`; absent where it is not."""
    return dict(
        models.Halt.objects.filter(_is_on(now), security_id__in=list(security_ids)).values_list(
            "security_id", "reason"
        )
    )


def halts_in_force(*, firm_id: int, now: datetime) -> QuerySet[models.Halt]:
    """Return the firm's halts that hold at `now`, to be read together with other stops."""
    return models.Halt.objects.filter(_is_on(now), security__firm_id=firm_id)


def list_unused(security_ids: Iterable[int]) -> set[int]:
    """Return which of these securities the firm no longer uses: they may be sold, not bought."""
    rows = models.Security.objects.filter(pk__in=list(security_ids), is_active=False)
    return set(rows.values_list("pk", flat=True))


def get_symbol(*, firm_id: int, security_id: int) -> str:
    """Return the symbol of a firm's security, empty when it is not the firm's."""
    rows = models.Security.objects.filter(pk=security_id, firm_id=firm_id)
    return rows.values_list("symbol", flat=True).first() or ""


def list_halts(*, firm_id: int, now: datetime) -> Sequence[models.Halt]:
    """Return the firm's halts in force at `now`, and those still to begin, by symbol."""
    return list(
        models.Halt.objects.filter(security__firm_id=firm_id, lifted_at__isnull=True)
        .filter(Q(until__isnull=True) | Q(until__gt=now))
        .select_related("security", "set_by")
        .order_by("security__symbol")
    )


def _is_on(now: datetime) -> Q:
    return Q(lifted_at__isnull=True, since__lte=now) & (Q(until__isnull=True) | Q(until__gt=now))
