"""The only way to a decision row that a user named. What someone may not see is a 404.

Rows follow their account: who sees the account (`accounts.access`) and may read that kind of row
sees it. Clients never see a proposal that came to nothing.
"""

from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from accounts.access import check_permission, has_permission, known_accounts, visible_accounts
from accounts.domain.permissions import Permission
from accounts.domain.roles import Role
from portfolios.queries.models import list_models
from rebalancer.domain.lifecycle import ProposalStatus
from rebalancer.domain.limits import SwitchScope
from rebalancer.models import (
    Check,
    CycleRun,
    LimitSet,
    Order,
    Policy,
    Proposal,
    SliceDecision,
    Switch,
)

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
    if not has_permission(user, Permission.READ_PROPOSALS):
        return Proposal.objects.none()
    rows = Proposal.objects.filter(
        firm_id=user.firm_id, account__in=visible_accounts(user).order_by()
    )
    return rows.exclude(status__in=HIDDEN_FROM_CLIENTS) if user.role == Role.CLIENT else rows


def visible_checks(user: "User") -> QuerySet[Check]:
    """Return the checks that this user may see."""
    if not has_permission(user, Permission.READ_HOLDINGS):
        return Check.objects.none()
    return Check.objects.filter(firm_id=user.firm_id, account__in=visible_accounts(user).order_by())


def visible_orders(user: "User") -> QuerySet[Order]:
    """Return the orders that this user may see."""
    if not has_permission(user, Permission.READ_ORDERS):
        return Order.objects.none()
    return Order.objects.filter(firm_id=user.firm_id, account__in=visible_accounts(user).order_by())


def get_order_for(user: "User", public_id: UUID) -> Order:
    """Return an order that the user named, with its account, security and block.

    :raises Http404: when there is none, or it is not theirs to see.
    """
    rows = visible_orders(user).select_related("account__household", "security", "block")
    return get_object_or_404(rows, public_id=public_id)


def visible_policies(user: "User") -> QuerySet[Policy]:
    """Return the policies that this user may see: the firm's."""
    if not has_permission(user, Permission.READ_POLICIES):
        return Policy.objects.none()
    return Policy.objects.filter(firm_id=user.firm_id)


def visible_cycle_runs(user: "User") -> QuerySet[CycleRun]:
    """Return the runs of the cycle that this user may see: the firm's."""
    if not has_permission(user, Permission.MOVE_MARKET):
        return CycleRun.objects.none()
    return CycleRun.objects.filter(firm_id=user.firm_id)


def visible_switches(user: "User") -> QuerySet[Switch]:
    """Return the switches that stop something of this user's now.

    What stops a whole firm, a security or a broker is staff's to see; a client sees those of their
    own accounts.
    """
    of_account = Q(account__in=known_accounts(user).order_by())
    if has_permission(user, Permission.SET_SWITCH):
        of_firm = Q(firm_id=user.firm_id, account__isnull=True)
        condition = of_account | of_firm | Q(scope=SwitchScope.ALL)
    elif has_permission(user, Permission.STOP_OWN_ACCOUNT):
        condition = of_account
    else:
        return Switch.objects.none()
    return Switch.objects.filter(condition, is_stopped=True)


def get_switch_for(user: "User", public_id: UUID) -> Switch:
    """Return a switch that is on and that the user named.

    :raises Http404: when there is none, or it is not theirs to see.
    """
    return get_object_or_404(visible_switches(user), public_id=public_id)


def get_limit_set_for(user: "User", public_id: UUID) -> LimitSet:
    """Return a revision of the firm's limits that the user named.

    :raises Http404: when there is none, or it is not theirs to see.
    """
    check_permission(user, Permission.READ_POLICIES)
    return get_object_or_404(LimitSet.objects.filter(firm_id=user.firm_id), public_id=public_id)


def get_slice_decision_for(user: "User", decision_id: int) -> SliceDecision:
    """Return what somebody of the firm said of an order that nobody knows of.

    :raises Http404: when there is none, or it is not theirs to see.
    """
    check_permission(user, Permission.SETTLE_REPORTS)
    return get_object_or_404(SliceDecision.objects.filter(firm_id=user.firm_id), pk=decision_id)


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
        "client_answer__answered_by",
        "supersedes",
        "superseded_by",
    )
    return get_object_or_404(rows, public_id=public_id)


def has_answered(user: "User", public_id: UUID) -> bool:
    """Return whether this very person said yes or no to it; after a no they see it no more."""
    return Proposal.objects.filter(
        public_id=public_id,
        firm_id=user.firm_id,
        account__in=visible_accounts(user).order_by(),
        client_answer__answered_by=user,
    ).exists()


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

    :raises Http404: when there is none, or the user may not read models.
    """
    check_permission(user, Permission.READ_MODELS)
    if not list_models(user.firm_id).filter(versions__pk=version_id).exists():
        raise Http404
    return version_id
