"""Which cash is booked but not there yet: proceeds of sales that settle later."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from django.db.models import Sum

from portfolios import models
from portfolios.domain.kinds import Pocket


def measure_unsettled_proceeds(*, account_ids: Sequence[int], on_date: date) -> dict[int, Decimal]:
    """Return, by account, what sales brought that settles after `on_date`; absent where nothing.

    What a buy costs is off the cash from its trade on, so only what comes in can be early. A sale
    that was taken back by another entry brings nothing.
    """
    rows = (
        models.Transfer.objects.filter(
            entry__account_id__in=account_ids,
            entry__settles_date__gt=on_date,
            entry__reverses__isnull=True,
            entry__reversed_by__isnull=True,
            target_pocket=Pocket.CASH,
            security__isnull=True,
        )
        .values("entry__account_id")
        .annotate(total=Sum("quantity"))
        .values_list("entry__account_id", "total")
    )
    return dict(rows)
