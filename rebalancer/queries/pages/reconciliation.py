"""What the page of reconciliation shows: comparisons, and what waits for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Prefetch, Q, QuerySet

from accounts.domain.roles import Role
from rebalancer import models
from rebalancer.domain.reconciliation import RunStatus

if TYPE_CHECKING:
    from accounts.models import Account, User

RUNS_SHOWN = 20
LABELS = {
    "accounts": "Accounts compared",
    "differences": "Differences",
    "in_flight": "In flight",
    "opened": "Newly found",
    "closed": "Settled by themselves",
    "executions": "Executions we had missed",
    "orders_missing": "Orders the broker does not know",
    "reports_open": "Reports that fit nothing",
}


@dataclass(frozen=True, slots=True)
class ReportLine:
    """A report that fits nothing, with the account that it is about where the reader may see it."""

    report: models.ParkedReport
    account: "Account | None"


@dataclass(frozen=True, slots=True)
class SliceLine:
    """An order that waits for people's word, and what somebody has said of it."""

    slice: models.Slice
    said: models.SliceDecision | None
    may_confirm: bool


def list_runs(firm_id: int) -> list[models.ReconciliationRun]:
    """Return a firm's latest comparisons, the newest first."""
    rows = models.ReconciliationRun.objects.filter(firm_id=firm_id).select_related("asked_by")
    return list(rows.order_by("-pk")[:RUNS_SHOWN])


def find_last_done(runs: Sequence[models.ReconciliationRun]) -> models.ReconciliationRun | None:
    """Return the newest comparison that came to its end, or None."""
    return next((run for run in runs if run.status == RunStatus.DONE), None)


def list_figures(run: models.ReconciliationRun) -> list[tuple[str, int]]:
    """Return what a comparison counted, in words."""
    return [(label, int(run.figures.get(name, 0))) for name, label in LABELS.items()]


def open_reports(user: "User") -> QuerySet[models.ParkedReport]:
    """Return the reports that wait for somebody, the oldest first.

    One that is no firm's, for the paper broker serves all of them, is the operators'.
    """
    condition = Q(firm_id=user.firm_id)
    if user.role == Role.OPERATOR:
        condition |= Q(firm__isnull=True)
    return models.ParkedReport.objects.filter(condition, resolved_at__isnull=True).order_by("pk")


def describe_reports(
    reports: Sequence[models.ParkedReport], accounts: "QuerySet[Account]"
) -> list[ReportLine]:
    """Return reports with their accounts, of those that the reader may see."""
    ids = {row.report.get("account") for row in reports}
    known: Mapping[int, Account] = {
        account.pk: account for account in accounts.filter(pk__in=[i for i in ids if i])
    }
    return [ReportLine(row, known.get(row.report.get("account", 0))) for row in reports]


def parked_slices(firm_id: int) -> QuerySet[models.Slice]:
    """Return the firm's orders of which only people can say what became of them."""
    open_decisions = models.SliceDecision.objects.filter(
        confirmed_at__isnull=True, is_withdrawn=False
    ).select_related("asked_by")
    return (
        models.Slice.objects.filter(block__firm_id=firm_id, is_parked=True)
        .select_related("block__security")
        .prefetch_related(Prefetch("decisions", queryset=open_decisions, to_attr="open_decisions"))
        .order_by("pk")
    )


def describe_slices(rows: Sequence[models.Slice], user: "User") -> list[SliceLine]:
    """Return parked orders with what was said of them, and whether this person may confirm it."""
    lines = []
    for row in rows:
        said = next(
            (
                one
                for one in row.open_decisions  # type: ignore[attr-defined]
                if one.attempt_count == row.attempt_count
            ),
            None,
        )
        lines.append(SliceLine(row, said, said is not None and said.asked_by_id != user.pk))
    return lines
