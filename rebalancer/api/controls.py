"""Endpoints of the controls: what is stopped, stopping, and the limits with their use today.

Letting things go on takes two people at their screens, with a fresh sign-in each: the pages do it.
"""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import check_permission, get_account_for, get_signed_in_user
from accounts.domain.permissions import Permission
from portfolios.queries.securities import list_symbols
from rebalancer.access import visible_switches
from rebalancer.domain.limits import SwitchScope
from rebalancer.operations import controls as operations
from rebalancer.queries import controls as reads
from rebalancer.serializers.controls import LimitsSerializer, StopSerializer, SwitchSerializer
from robo.common import clock
from robo.common.api.views import ApiView, ListView
from robo.common.errors import Refused


class Switches(ListView):
    """What is stopped."""

    @extend_schema(operation_id="list_switches", responses=SwitchSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List what is stopped now, as far as one may see it."""
        user = get_signed_in_user(request)
        check_permission(user, Permission.SET_SWITCH, Permission.STOP_OWN_ACCOUNT)
        rows: Any = visible_switches(user).select_related("account", "security", "set_by")
        return self.answer_page(rows.order_by("pk"), SwitchSerializer)

    @extend_schema(
        operation_id="stop_trading", request=StopSerializer, responses={201: SwitchSerializer}
    )
    def post(self, request: Request) -> Response:
        """Stop trading in a scope, at once; clients stop accounts of their own only."""
        user = get_signed_in_user(request)
        self.check_access(request)
        sent = self.read(StopSerializer, request.data)
        account = sent.pop("account", None)
        symbol = sent.pop("symbol", None)
        if account is not None:
            sent["account_id"] = get_account_for(user, account).pk
        if symbol is not None:
            sent["security_id"] = list_symbols(user.firm_id).get(symbol)
            if sent["security_id"] is None:
                raise Refused("The firm has no such security.")
        sent["scope"] = SwitchScope(sent["scope"])
        switch = operations.set_switch(user_id=user.pk, **sent)
        return Response(SwitchSerializer(switch).data, status=status.HTTP_201_CREATED)

    def check_access(self, request: Request, **kwargs: Any) -> None:
        """Accept who may stop anything at all."""
        user = get_signed_in_user(request)
        check_permission(user, Permission.SET_SWITCH, Permission.STOP_OWN_ACCOUNT)


class LimitsInForce(ApiView):
    """The firm's limits before the market."""

    @extend_schema(operation_id="get_limits", responses=LimitsSerializer)
    def get(self, request: Request) -> Response:
        """Answer the limits in force, and what was entered today."""
        user = get_signed_in_user(request)
        check_permission(user, Permission.READ_POLICIES)
        return Response(LimitsSerializer(reads.describe_limits(user.firm, clock.now())).data)
