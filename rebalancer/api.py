"""Endpoints of decisions: holdings, checks, proposals with their decision, and orders."""

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import exceptions, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import get_account_for, get_signed_in_user
from accounts.domain.roles import Role
from portfolios.queries.books import get_market_date
from rebalancer import serializers, tasks
from rebalancer.access import (
    get_proposal_for,
    visible_checks,
    visible_orders,
    visible_proposals,
)
from rebalancer.domain.lifecycle import ProposalStatus
from rebalancer.engine import solve_case
from rebalancer.engine.case.rows import CaseRefused, parse_json
from rebalancer.engine.case.schema import describe_answers, describe_case
from rebalancer.operations import approvals, proposals
from rebalancer.operations.approvals import ProposalStale
from rebalancer.operations.cycles import get_cycle_date
from rebalancer.queries.pages import account as account_pages
from rebalancer.queries.pages import orders as order_pages
from rebalancer.queries.pages import proposal as proposal_pages
from robo.common import clock
from robo.common.api.errors import NON_FIELD, BodyTooLargeError, ConflictError
from robo.common.api.views import BODY_BYTES_MAX, ApiView, BoundedJSONParser, ListView
from robo.common.errors import Conflict, NotAllowed

if TYPE_CHECKING:
    from accounts.models import Firm, User
    from rebalancer.models import Check, Order, Proposal

# What the documentation page offers to try.
CASE_SHOWN: Mapping[str, Any] = {
    "as_of": "2026-11-20",
    "accounts": [
        {
            "id": "joint",
            "tax_status": "TAXABLE",
            "cash": "1500.00",
            "lots": [
                {
                    "symbol": "STOCK",
                    "quantity": "300",
                    "unit_cost": "80.00",
                    "acquired_date": "2021-03-04",
                },
                {
                    "symbol": "BOND",
                    "quantity": "150",
                    "unit_cost": "101.00",
                    "acquired_date": "2024-05-06",
                },
            ],
        }
    ],
    "prices": {"STOCK": "120.00", "BOND": "95.00"},
    "securities": [
        {"symbol": "STOCK", "asset_class": "Equity", "half_spread_bps": "1"},
        {"symbol": "BOND", "asset_class": "Bonds", "half_spread_bps": "2"},
    ],
    "targets": {"cash": "0.02", "securities": {"STOCK": "0.58", "BOND": "0.40"}},
    "tax": {"short_term_rate": "0.35", "long_term_rate": "0.15"},
}


def _get_price_date(firm: "Firm") -> date:
    """Return the market day that pages measure on: the same as the next cycle would."""
    now = clock.now()
    return get_cycle_date(firm_id=firm.pk, now=now) or get_market_date(firm, now)


class Holdings(ApiView):
    """What an account holds."""

    @extend_schema(operation_id="get_holdings", responses=serializers.HoldingsSerializer)
    def get(self, request: Request, public_id: UUID) -> Response:
        """Answer an account as it stands: cash, holdings and lots, against target and bands."""
        account = get_account_for(get_signed_in_user(request), public_id)
        if not account.is_open:
            raise Conflict("This account is closed.")
        price_date = _get_price_date(account.firm)
        page = account_pages.load_account_page(account=account, price_date=price_date)
        facts = {
            "account": account,
            "currency": account.firm.currency,
            "price_date": price_date,
            "value": page.standing.value,
            "cash": page.cash,
            "cash_weight": page.cash_weight,
            "cash_target": page.cash_target,
            "gain": page.gain,
            "drift_max": page.standing.drift_max,
            "is_breached": page.standing.is_breached,
            "blocked": page.standing.blocked,
            "policy": page.policy,
            "classes": page.standing.rows,
            "holdings": page.holdings,
        }
        return Response(serializers.HoldingsSerializer(facts).data)


class Checks(ListView):
    """When an account was looked at."""

    @extend_schema(operation_id="list_checks", responses=serializers.CheckSerializer(many=True))
    def get(self, request: Request, public_id: UUID) -> Response:
        """List the checks of an account, newest first."""
        user = get_signed_in_user(request)
        account = get_account_for(user, public_id)
        rows: QuerySet[Check] = visible_checks(user).filter(account=account)
        return self.answer_page(rows.order_by("-id"), serializers.CheckSerializer)


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


class ProposalApproval(ApiView):
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
        proposal = get_proposal_for(user, public_id)
        decision = self.read(serializers.ApprovalSerializer, request.data)
        try:
            approvals.approve_proposal(
                proposal_id=proposal.pk, user_id=user.pk, now=clock.now(), **decision
            )
        except ProposalStale as error:
            facts = {"fresh_proposal_id": error.fresh_public_id}
            raise ConflictError(str(error), "stale", facts) from None
        tasks.nudge(tasks.submit_orders)
        return Response(_show_proposal(user, public_id))


class ProposalRejection(ApiView):
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
        proposal = get_proposal_for(user, public_id)
        decision = self.read(serializers.RejectionSerializer, request.data)
        approvals.reject_proposal(
            proposal_id=proposal.pk, user_id=user.pk, now=clock.now(), **decision
        )
        return Response(_show_proposal(user, public_id))


class TradeRemoval(ApiView):
    """A proposal solved again without some of its trades."""

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
        proposal = get_proposal_for(user, public_id)
        if user.role != Role.ADVISOR:
            raise NotAllowed("Only an advisor of this household may change a proposal.")
        rows = proposal.trades.values_list("security__public_id", "pk")
        known = {
            serializers.name_trade(proposal_id=public_id, security_id=security_id): pk
            for security_id, pk in rows
        }
        choice = self.read(
            serializers.TradeChoiceSerializer, request.data, context={"trades": known}
        )
        fresh = proposals.remove_trades(
            proposal_id=proposal.pk, user_id=user.pk, trade_ids=choice["trades"], now=clock.now()
        )
        return Response(_show_proposal(user, fresh.public_id), status=status.HTTP_201_CREATED)


class Orders(ListView):
    """The orders that one may see."""

    query_class = serializers.OrderQuery

    @extend_schema(operation_id="list_orders", responses=serializers.OrderSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List orders with their fills, newest first."""
        rows: QuerySet[Order] = visible_orders(get_signed_in_user(request))
        if "account" in self.query:
            rows = rows.filter(account__public_id=self.query["account"])
        if "proposal" in self.query:
            rows = rows.filter(proposal__public_id=self.query["proposal"])
        wanted = order_pages.OrderFilter(
            **{key: self.query.get(key, "") for key in ("status", "side", "symbol")}
        )
        return self.answer_page(
            order_pages.list_orders(orders=rows, wanted=wanted), serializers.OrderSerializer
        )


class CaseParser(BoundedJSONParser):
    """Reads JSON of a sane size as exact decimals, not as floats."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Return the parsed body.

        :raises BodyTooLargeError: beyond `BODY_BYTES_MAX`.
        :raises ParseError: when it is no JSON, nests without end, or names a key twice.
        """
        body = stream.read(BODY_BYTES_MAX + 1)
        if len(body) > BODY_BYTES_MAX:
            raise BodyTooLargeError
        try:
            return parse_json(body)
        except CaseRefused as error:
            raise exceptions.ParseError(str(error)) from None


class Solve(ApiView):
    """The engine without any books."""

    parser_classes = [CaseParser]

    @extend_schema(
        operation_id="solve",
        request={"application/json": describe_case()},
        responses={(200, "application/json"): describe_answers()},
        examples=[OpenApiExample("a household", value=CASE_SHOWN, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Solve one household that is sent along: the best trades, with reasons and certificate.

        Nothing is read from the books, and nothing is kept. `docs/cases.md` explains every field.
        """
        case: Any = request.data
        try:
            return Response(solve_case(case))
        except CaseRefused as error:
            faults: dict[str, list[str]] = {}
            for fault in error.errors:
                faults.setdefault(fault.path or NON_FIELD, []).append(fault.message)
            raise exceptions.ValidationError(faults) from None


def _show_proposal(user: "User", public_id: UUID) -> Mapping[str, Any]:
    """Return what this person sees of a proposal: what the page would show them.

    :raises Http404: when there is none, or it is not theirs to see.
    """
    proposal = get_proposal_for(user, public_id)
    page = proposal_pages.load_proposal_page(proposal, price_date=_get_price_date(proposal.firm))
    is_client = user.role == Role.CLIENT
    hides_trades = serializers.is_hidden(proposal.status, user.role)
    decision = getattr(proposal, "decision", None)
    asks_for_changes = proposal.status == ProposalStatus.PENDING and user.role == Role.ADVISOR
    parts = {
        "cause": proposal.origin_check.cause,
        "cause_sentence": page.cause,
        "content_hash": None if is_client else proposal.content_hash,
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
        "orders": proposal_pages.load_progress(proposal).orders,
    }
    context = {"role": user.role, "proposal_id": proposal.public_id}
    shown = serializers.ProposalSerializer(proposal, context=context).data
    return shown | serializers.ProposalPartsSerializer(parts, context=context).data
