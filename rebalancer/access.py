"""The only way to a decision row that a user named. What someone may not see is a 404.

Rows follow their account: a client sees their household's, an advisor those of assigned households,
an admin the firm's. Clients never see a proposal that came to nothing.
"""

from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from accounts.access import visible_accounts
from accounts.domain.roles import Role
from portfolios.queries.models import list_models
from rebalancer.domain.lifecycle import ProposalStatus
from rebalancer.models import Check, CycleRun, Order, Policy, Proposal

if TYPE_CHECKING:
    from accounts.models import User

HIDDEN_FROM_CLIENTS = (
    ProposalStatus.REJECTED,
    ProposalStatus.EXPIRED,
    ProposalStatus.SUPERSEDED,
)
# Trades that an advisor is still looking at may change: a client sees that there are some.
UNDECIDED = (ProposalStatus.PENDING,)


def visible_proposals(user: "User") -> QuerySet[Proposal]:
    """Return the proposals that this user may see."""
    rows = Proposal.objects.filter(
        firm_id=user.firm_id, account__in=visible_accounts(user).order_by()
    )
    return rows.exclude(status__in=HIDDEN_FROM_CLIENTS) if user.role == Role.CLIENT else rows


def visible_checks(user: "User") -> QuerySet[Check]:
    """Return the checks that this user may see."""
    return Check.objects.filter(firm_id=user.firm_id, account__in=visible_accounts(user).order_by())


def visible_orders(user: "User") -> QuerySet[Order]:
    """Return the orders that this user may see."""
    return Order.objects.filter(firm_id=user.firm_id, account__in=visible_accounts(user).order_by())


def visible_policies(user: "User") -> QuerySet[Policy]:
    """Return the policies that this user may see: the firm's, for its staff."""
    if not user.is_active or user.role not in (Role.ADVISOR, Role.ADMIN):
        return Policy.objects.none()
    return Policy.objects.filter(firm_id=user.firm_id)


def visible_cycle_runs(user: "User") -> QuerySet[CycleRun]:
    """Return the runs of the cycle that this user may see: the firm's, for its staff."""
    if not user.is_active or user.role not in (Role.ADVISOR, Role.ADMIN):
        return CycleRun.objects.none()
    return CycleRun.objects.filter(firm_id=user.firm_id)


def get_proposal_for(user: "User", public_id: UUID) -> Proposal:
    """Return a proposal that the user named, with its account, household and decision.

    :raises Http404: when there is none, or it is not theirs to see.
    """
    rows = visible_proposals(user).select_related(
        "firm",
        "account__household",
        "policy",
        "model_version__model",
        "origin_check",
        "proposed_by",
        "decision__decided_by",
        "supersedes",
        "superseded_by",
    )
    return get_object_or_404(rows, public_id=public_id)


def get_policy_for(user: "User", public_id: UUID) -> Policy:
    """Return a policy that the user named.

    :raises Http404: when there is none, or it is not theirs to see.
    """
    return get_object_or_404(visible_policies(user), public_id=public_id)


def get_cycle_run_for(user: "User", public_id: UUID) -> CycleRun:
    """Return a run of the cycle that the user named.

    :raises Http404: when there is none, or it is not theirs to see.
    """
    return get_object_or_404(visible_cycle_runs(user), public_id=public_id)


def get_model_version_id_for(user: "User", version_id: int) -> int:
    """Return the id of a model version that the user named, when it is of their firm.

    :raises Http404: when there is none, or the user is no advisor or admin.
    """
    is_staff = user.is_active and user.role in (Role.ADVISOR, Role.ADMIN)
    if not is_staff or not list_models(user.firm_id).filter(versions__pk=version_id).exists():
        raise Http404
    return version_id
