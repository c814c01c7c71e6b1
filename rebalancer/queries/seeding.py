"""What the demo's seed asks: how far its history has come, and what waits for a decision."""

from dataclasses import dataclass

from accounts.queries import people
from portfolios.queries.models import list_models
from rebalancer import models
from rebalancer.domain.kinds import CycleStatus
from rebalancer.domain.lifecycle import ProposalStatus


@dataclass(frozen=True, slots=True)
class PendingProposal:
    """A proposal with the advisor who leads its household."""

    proposal_id: int
    content_hash: str
    lead_advisor_id: int


def count_cycles(firm_id: int) -> int:
    """Return how many cycles of a firm are done."""
    return models.CycleRun.objects.filter(firm_id=firm_id, status=CycleStatus.DONE).count()


def list_unfinished_cycles(firm_id: int) -> list[int]:
    """Return the firm's cycles that are neither done nor failed."""
    return list(
        models.CycleRun.objects.filter(
            firm_id=firm_id, status__in=[CycleStatus.QUEUED, CycleStatus.RUNNING]
        ).values_list("id", flat=True)
    )


def list_pending(firm_id: int) -> list[PendingProposal]:
    """Return the firm's proposals that wait for a decision."""
    rows = list(
        models.Proposal.objects.filter(firm_id=firm_id, status=ProposalStatus.PENDING)
        .order_by("id")
        .values_list("id", "content_hash", "account__household_id")
    )
    leads = people.list_lead_advisors([household_id for *_rest, household_id in rows])
    return [
        PendingProposal(proposal_id, content_hash, leads[household_id].pk)
        for proposal_id, content_hash, household_id in rows
    ]


def get_model_ids(firm_id: int) -> dict[str, int]:
    """Return model ids by name."""
    return {model.name: model.pk for model in list_models(firm_id)}


def get_policy_ids(firm_id: int) -> dict[str, int]:
    """Return policy ids by name."""
    return dict(models.Policy.objects.filter(firm_id=firm_id).values_list("name", "id"))
