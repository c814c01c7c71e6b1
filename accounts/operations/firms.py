"""Writes to the firm itself that no person's form makes."""

from datetime import date

from django.db import transaction

from accounts import models
from robo.common.errors import Refused


@transaction.atomic
def advance_simulated_date(*, firm_id: int, simulated_date: date) -> None:
    """Move a simulated firm's market day forward; the same day again changes nothing.

    :raises Refused: when the firm lives in real time, or the day is in its past.
    """
    firm = models.Firm.objects.select_for_update().get(pk=firm_id)
    if firm.price_source != "SIMULATED":
        raise Refused(f"{firm.name} lives in real time.")
    if firm.simulated_date is not None and simulated_date < firm.simulated_date:
        raise Refused(f"The simulated market is past {simulated_date} already.")
    firm.simulated_date = simulated_date
    firm.save(update_fields=["simulated_date"])
