"""Once a month, and when asked: what the last executions tell of spread and impact."""

from datetime import date, timedelta

from django.db import transaction

from accounts.operations.audit import record_audit_entry
from accounts.queries import people
from rebalancer import models
from rebalancer.domain.calibration import estimate_costs
from rebalancer.queries.costs import list_samples

LOOK_BACK = timedelta(days=365)


@transaction.atomic
def calibrate_costs(*, firm_id: int, as_of_date: date, actor_id: int | None = None) -> int:
    """Estimate spread and impact of every security that traded; return how many are new.

    An estimate of that day which is on record already stays; without an actor the engine did it.
    """
    samples = list_samples(firm_id=firm_id, since=as_of_date - LOOK_BACK, until=as_of_date)
    known = set(
        models.CostEstimate.objects.filter(firm_id=firm_id, as_of_date=as_of_date).values_list(
            "security_id", flat=True
        )
    )
    rows = []
    for security_id, (block, seen) in sorted(samples.items()):
        if security_id in known:
            continue
        found = estimate_costs(seen, stated_half_spread_bps=block.security.half_spread_bps)
        rows.append(
            models.CostEstimate(
                firm_id=firm_id,
                security_id=security_id,
                as_of_date=as_of_date,
                half_spread_bps=found.half_spread_bps,
                impact_coefficient=found.coefficient,
                spread_sample_count=found.spread_sample_count,
                impact_sample_count=found.impact_sample_count,
            )
        )
    if not rows:
        return 0
    # Two may ask at once: whoever comes second adds nothing.
    models.CostEstimate.objects.bulk_create(rows, ignore_conflicts=True)
    record_audit_entry(
        firm_id=firm_id,
        actor_id=actor_id or people.get_service_user(firm_id).pk,
        action="rebalancer.costs.estimated",
        object_id=as_of_date.isoformat(),
        summary=f"Estimated spread and impact of {len(rows)} securities from executions",
        detail={
            row.security.symbol: [str(row.half_spread_bps), str(row.impact_coefficient)]
            for row in _name(rows)
        },
    )
    return len(rows)


def _name(rows: list[models.CostEstimate]) -> list[models.CostEstimate]:
    return list(
        models.CostEstimate.objects.filter(
            security_id__in=[row.security_id for row in rows], as_of_date=rows[0].as_of_date
        ).select_related("security")
    )


def calibrate_monthly(*, firm_id: int, as_of_date: date) -> int:
    """Estimate once in each month, at its first market day that is looked at; return how many."""
    month = as_of_date.replace(day=1)
    newest = models.CostEstimate.objects.filter(firm_id=firm_id, as_of_date__gte=month)
    if newest.exists():
        return 0
    return calibrate_costs(firm_id=firm_id, as_of_date=as_of_date)
