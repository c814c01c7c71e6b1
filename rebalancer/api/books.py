"""Endpoints of an account's books: holdings, checks, money that comes and goes, and orders."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import NAMESPACE_OID, UUID, uuid5

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import get_account_for, get_signed_in_user, has_permission
from accounts.domain.permissions import Permission
from accounts.domain.scopes import Scope
from portfolios.operations import books
from portfolios.queries.books import get_market_date
from rebalancer import serializers, tasks
from rebalancer.access import get_order_for, visible_checks, visible_orders
from rebalancer.api.days import get_price_date
from rebalancer.operations.cash import may_book_cash, withdraw_cash
from rebalancer.operations.checks import request_check
from rebalancer.operations.execution.deciding import cancel_order
from rebalancer.queries.pages import account as account_pages
from rebalancer.queries.pages import orders as order_pages
from robo.common import clock
from robo.common.api.idempotency import HEADER
from robo.common.api.views import ApiView, ListView
from robo.common.errors import Conflict, NotAllowed

if TYPE_CHECKING:
    from rebalancer.models import Check, Order


class Holdings(ApiView):
    """What an account holds."""

    token_scopes = {"GET": Scope.READ_BOOKS}

    @extend_schema(operation_id="get_holdings", responses=serializers.HoldingsSerializer)
    def get(self, request: Request, public_id: UUID) -> Response:
        """Answer an account as it stands: cash, holdings and lots, against target and bands."""
        account = get_account_for(get_signed_in_user(request), public_id)
        if not account.is_open:
            raise Conflict("This account is closed.")
        price_date = get_price_date(account.firm)
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

    token_scopes = {"GET": Scope.READ_BOOKS, "POST": Scope.CREATE_PROPOSALS}

    @extend_schema(operation_id="list_checks", responses=serializers.CheckSerializer(many=True))
    def get(self, request: Request, public_id: UUID) -> Response:
        """List the checks of an account, newest first."""
        user = get_signed_in_user(request)
        account = get_account_for(user, public_id)
        rows: QuerySet[Check] = visible_checks(user).filter(account=account)
        return self.answer_page(rows.order_by("-id"), serializers.CheckSerializer)

    @extend_schema(
        operation_id="request_check",
        request=serializers.NothingSerializer,
        responses={201: serializers.CheckSerializer},
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        """Look at an account now; if trades are due, a proposal follows at once."""
        user = get_signed_in_user(request)
        account = get_account_for(user, public_id)
        if not has_permission(user, Permission.CREATE_PROPOSALS):
            raise NotAllowed("Only an advisor of this household may ask for a look.")
        self.read(serializers.NothingSerializer, request.data)
        check = request_check(account_id=account.pk, user_id=user.pk, now=clock.now())
        return Response(serializers.CheckSerializer(check).data, status=status.HTTP_201_CREATED)

    def check_access(self, request: Request, **kwargs: Any) -> None:
        """Accept who may still see the account."""
        get_account_for(get_signed_in_user(request), kwargs["public_id"])


class CashMove(ApiView):
    """Money that came into an account or left it."""

    needs_key = True
    operation: ClassVar[Callable[..., object]]

    def move(self, request: Request, public_id: UUID) -> Response:
        """Book the money; the key of the call sees to it that it is booked once, whatever fails."""
        user = get_signed_in_user(request)
        account = get_account_for(user, public_id)
        if not may_book_cash(role=user.role):
            raise NotAllowed("Your advisor records money that came or went: ask them.")
        if not account.is_open:
            raise Conflict("This account is closed.")
        sent = self.read(serializers.CashMoveSerializer, request.data)
        entry_date = get_market_date(account.firm, clock.now())
        type(self).operation(
            account_id=account.pk,
            amount=sent["amount"],
            entry_date=entry_date,
            token=uuid5(NAMESPACE_OID, f"{self.credential} {request.headers[HEADER]}"),
            actor_id=user.pk,
        )
        tasks.nudge(tasks.find_due_checks)
        facts = {"account": account, "amount": sent["amount"], "entry_date": entry_date}
        return Response(
            serializers.BookedCashSerializer(facts).data, status=status.HTTP_201_CREATED
        )

    def check_access(self, request: Request, **kwargs: Any) -> None:
        """Accept who may still see the account."""
        get_account_for(get_signed_in_user(request), kwargs["public_id"])


class Deposits(CashMove):
    """Money that came."""

    operation = staticmethod(books.deposit_cash)

    @extend_schema(
        operation_id="deposit",
        request=serializers.CashMoveSerializer,
        responses={201: serializers.BookedCashSerializer},
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        """Record a deposit that the custodian has received."""
        return self.move(request, public_id)


class Withdrawals(CashMove):
    """Money that went."""

    operation = staticmethod(withdraw_cash)

    @extend_schema(
        operation_id="withdraw",
        request=serializers.CashMoveSerializer,
        responses={201: serializers.BookedCashSerializer},
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        """Record a withdrawal that the custodian has paid; what orders need cannot leave."""
        return self.move(request, public_id)


class Orders(ListView):
    """The orders that one may see."""

    query_class = serializers.OrderQuery

    @extend_schema(operation_id="list_orders", responses=serializers.OrderSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List orders with their fills, newest first."""
        user = get_signed_in_user(request)
        rows: QuerySet[Order] = visible_orders(user)
        if "account" in self.query:
            rows = rows.filter(account__public_id=self.query["account"])
        if "proposal" in self.query:
            rows = rows.filter(proposal__public_id=self.query["proposal"])
        wanted = order_pages.OrderFilter(
            **{key: self.query.get(key, "") for key in ("status", "side", "symbol")}
        )
        return self.answer_page(
            order_pages.list_orders(orders=rows, wanted=wanted),
            serializers.OrderSerializer,
            role=user.role,
        )


class OrderCancellation(ApiView):
    """An order that a person cancels."""

    needs_key = True
    # What the broker is asked, and what it answers, are transactions of their own.
    is_one_transaction = False

    @extend_schema(
        operation_id="cancel_order",
        request=serializers.CancellationSerializer,
        responses={200: serializers.OrderSerializer},
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        """Cancel an order, and with it what is left of the block that it is traded in.

        What waits is cancelled at once; what is under way is asked of the broker, and its status
        changes with the broker's answer. A second call gets a 409 once it is cancelled.
        """
        user = get_signed_in_user(request)
        order = self._find(request, public_id)
        sent = self.read(serializers.CancellationSerializer, request.data)
        cancel_order(
            order_id=order.pk,
            user_id=user.pk,
            reason=sent["reason"],
            now=clock.database_now(),
        )
        fresh = self._find(request, public_id)
        return Response(serializers.OrderSerializer(fresh, context={"role": user.role}).data)

    def check_access(self, request: Request, **kwargs: Any) -> None:
        """Accept who may still cancel the order."""
        self._find(request, kwargs["public_id"])

    @staticmethod
    def _find(request: Request, public_id: UUID) -> "Order":
        user = get_signed_in_user(request)
        order = get_order_for(user, public_id)
        if not has_permission(user, Permission.CANCEL_ORDERS):
            raise NotAllowed("Only a supervisor may cancel an order.")
        return order
