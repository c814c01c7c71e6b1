"""Endpoints of execution: what trading cost, block by block."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import check_permission, get_signed_in_user
from accounts.domain.permissions import Permission
from rebalancer.queries.costs import list_blocks, measure_blocks
from rebalancer.serializers.execution import ExecutionCostSerializer, ExecutionQuery
from robo.common.api.views import ListView


class ExecutionCosts(ListView):
    """What the firm's blocks cost."""

    query_class = ExecutionQuery

    @extend_schema(
        operation_id="list_execution_costs", responses=ExecutionCostSerializer(many=True)
    )
    def get(self, request: Request) -> Response:
        """List blocks that are over with their implementation shortfall, newest first."""
        user = get_signed_in_user(request)
        check_permission(user, Permission.READ_POLICIES)
        rows = list_blocks(
            firm_id=user.firm_id, since=self.query.get("since"), until=self.query.get("until")
        )
        if "symbol" in self.query:
            rows = rows.filter(security__symbol__iexact=self.query["symbol"])
        paginator = self.pagination_class()
        page = paginator.paginate_queryset(rows, request, view=self) or []
        return paginator.get_paginated_response(
            ExecutionCostSerializer(measure_blocks(page), many=True).data
        )
