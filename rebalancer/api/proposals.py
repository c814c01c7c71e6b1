"""Endpoints of proposals: look at them, decide on them, solve again without some trades."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import get_signed_in_user, has_permission
from accounts.domain.permissions import Permission
from accounts.domain.roles import Role
from accounts.views.step_up import FreshSignIn
from rebalancer import serializers, tasks
from rebalancer.access import get_proposal_for, visible_proposals
from rebalancer.api.days import get_price_date
from rebalancer.domain.lifecycle import ANSWERABLE, ProposalStatus
from rebalancer.operations import approvals, consents, proposals
from rebalancer.operations.approvals import ProposalStale
from rebalancer.queries.pages import consents as consent_pages
from rebalancer.queries.pages import proposal as proposal_pages
from robo.common import clock
from robo.common.api.errors import ConflictError
from robo.common.api.views import ApiView, ListView
from robo.common.errors import NotAllowed

if TYPE_CHECKING:
    from accounts.models import User
    from rebalancer.models import Proposal


class Proposals(ListView):
    """The proposals that one may see."""

    query_class = serializers.ProposalQuery

    @extend_schema(
        operation_id="list_proposals", responses=serializers.ProposalSerializer(many=True)
    )
    def get(self, request: Request) -> Response:
        """List proposals, newest first."""
        user = get_signed_in_user(request)
        rows: QuerySet[Proposal] = visible_proposals(user).select_related("account__household")
        if "status" in self.query:
            rows = rows.filter(status=self.query["status"])
        if "account" in self.query:
            rows = rows.filter(account__public_id=self.query["account"])
        rows = rows.defer("inputs", "classes")
        return self.answer_page(
            rows.order_by("-id"), serializers.ProposalSerializer, role=user.role
        )


class ProposalDetail(ApiView):
    """One proposal."""

    @extend_schema(operation_id="get_proposal", responses=serializers.ProposalDetailSerializer)
    def get(self, request: Request, public_id: UUID) -> Response:
        """Answer a whole proposal: why, before and after, every trade with its lots, and orders."""
        user = get_signed_in_user(request)
        return Response(_show_proposal(user, public_id))


class ProposalDecision(ApiView):
    """What the endpoints that decide on a proposal share."""

    permission_classes = [*ApiView.permission_classes, FreshSignIn]
    needs_key = True
    # A decision is a transaction of its own, and is made once whatever the key.
    is_one_transaction = False
    permission: ClassVar[Permission] = Permission.DECIDE_PROPOSALS
    refusal: ClassVar[str] = "Only an advisor of this household or a supervisor may decide."

    def check_access(self, request: Request, **kwargs: Any) -> None:
        """Accept who may still see the proposal, and do this to it."""
        self.get_proposal(request, kwargs["public_id"])

    def get_proposal(self, request: Request, public_id: UUID) -> "Proposal":
        """Return the proposal, if the caller may do this to it.

        :raises Http404: when it is not theirs to see.
        :raises NotAllowed: when they may only see it.
        """
        user = get_signed_in_user(request)
        proposal = get_proposal_for(user, public_id)
        if not has_permission(user, self.permission):
            raise NotAllowed(self.refusal)
        return proposal


class ProposalApproval(ProposalDecision):
    """A yes to a proposal."""

    @extend_schema(
        operation_id="approve_proposal",
        request=serializers.ApprovalSerializer,
        responses={200: serializers.ProposalDetailSerializer, 409: serializers.StaleSerializer},
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        """Approve exactly what was seen; its orders are sent.

        Safe to repeat: a proposal is decided once, and whoever comes second gets a 409. When facts
        have moved, the 409 names the fresh proposal that took its place.
        """
        user = get_signed_in_user(request)
        proposal = self.get_proposal(request, public_id)
        decision = self.read(serializers.ApprovalSerializer, request.data)
        try:
            approvals.approve_proposal(
                proposal_id=proposal.pk, user_id=user.pk, now=clock.database_now(), **decision
            )
        except ProposalStale as error:
            facts = {"fresh_proposal_id": error.fresh_public_id}
            raise ConflictError(str(error), "stale", facts) from None
        tasks.nudge(tasks.submit_orders)
        return Response(_show_proposal(user, public_id))


class ProposalRejection(ProposalDecision):
    """A no to a proposal."""

    @extend_schema(
        operation_id="reject_proposal",
        request=serializers.RejectionSerializer,
        responses={200: serializers.ProposalDetailSerializer},
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        """Reject what was seen, with a reason; nothing is traded.

        Safe to repeat, as approving is.
        """
        user = get_signed_in_user(request)
        proposal = self.get_proposal(request, public_id)
        decision = self.read(serializers.RejectionSerializer, request.data)
        approvals.reject_proposal(
            proposal_id=proposal.pk, user_id=user.pk, now=clock.database_now(), **decision
        )
        return Response(_show_proposal(user, public_id))


class TradeRemoval(ProposalDecision):
    """A proposal solved again without some of its trades."""

    is_one_transaction = True
    permission = Permission.EDIT_PROPOSALS
    refusal = "Only an advisor of this household may change a proposal."

    @extend_schema(
        operation_id="remove_trades",
        request=serializers.TradeChoiceSerializer,
        responses={201: serializers.ProposalDetailSerializer},
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        """Solve again without some trades, and answer the proposal that takes this one's place.

        Whoever does this is the maker of the new proposal: a colleague must approve it. A second
        call gets a 409, for the first one has replaced the proposal.
        """
        user = get_signed_in_user(request)
        proposal = self.get_proposal(request, public_id)
        rows = proposal.trades.values_list("security__public_id", "pk")
        known = {
            serializers.name_trade(proposal_id=public_id, security_id=security_id): pk
            for security_id, pk in rows
        }
        choice = self.read(
            serializers.TradeChoiceSerializer, request.data, context={"trades": known}
        )
        fresh = proposals.remove_trades(
            proposal_id=proposal.pk,
            user_id=user.pk,
            trade_ids=choice["trades"],
            now=clock.database_now(),
        )
        return Response(_show_proposal(user, fresh.public_id), status=status.HTTP_201_CREATED)


def _show_proposal(user: "User", public_id: UUID) -> Mapping[str, Any]:
    """Return what this person sees of a proposal: what the page would show them.

    :raises Http404: when there is none, or it is not theirs to see.
    """
    proposal = get_proposal_for(user, public_id)
    page = proposal_pages.load_proposal_page(proposal, price_date=get_price_date(proposal.firm))
    is_client = user.role == Role.CLIENT
    hides_trades = serializers.is_hidden(proposal, user.role)
    word = _describe_client_word(proposal, is_client=is_client)
    decision = getattr(proposal, "decision", None)
    asks_for_changes = proposal.status == ProposalStatus.PENDING and has_permission(
        user, Permission.DECIDE_PROPOSALS
    )
    parts = {
        "cause": proposal.origin_check.cause,
        "cause_sentence": page.cause,
        "content_hash": (
            None if is_client and not word["is_answer_wanted"] else proposal.content_hash
        ),
        "proposed_by": proposal.proposed_by.name,
        "policy": proposal.policy,
        "model": proposal.model_version,
        "supersedes": page.earlier.public_id if page.earlier and not is_client else None,
        "superseded_by": page.later.public_id if page.later and not is_client else None,
        "close_reason": "" if is_client else proposal.close_reason,
        "notes": [] if hides_trades else proposal.notes,
        "mode": proposal.mode,
        "wanted": {"mode": None, "gains_budget": None} | proposal.wanted,
        "path": proposal.path,
        "path_reason": proposal.path_reason,
        "certificate": None if hides_trades else proposal.certificate or None,
        "untraded": [] if hides_trades else proposal.untraded,
        "solved_with": [] if is_client else [row.public_id for row in page.siblings],
        # The very question that an approval asks, so that nobody is promised more.
        "changes": approvals.list_changes_since(proposal) if asks_for_changes else [],
        "moved_prices": [] if is_client else page.moved,
        "classes": page.classes,
        "trades": None if hides_trades else [*page.sells, *page.buys],
        "decision": decision if not is_client or (decision and decision.is_approved) else None,
        "orders": proposal_pages.load_progress(proposal, is_client=is_client).orders,
        **word,
    }
    context = {"role": user.role, "proposal_id": proposal.public_id}
    shown = serializers.ProposalSerializer(proposal, context=context).data
    return shown | serializers.ProposalPartsSerializer(parts, context=context).data


def _describe_client_word(proposal: "Proposal", *, is_client: bool) -> Mapping[str, Any]:
    """Return what a proposal needs of the client: the very questions that its page asks."""
    now = clock.now()
    is_answerable = proposal.status in ANSWERABLE
    return {
        "is_answer_wanted": consent_pages.wants_answer(proposal, now),
        "client_answer": consent_pages.find_answer(proposal),
        "missing": consents.list_missing(proposal, now=now) if is_answerable else [],
        "rationale": consent_pages.explain_to_client(proposal) if is_client else [],
    }
