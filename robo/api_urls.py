"""Addresses of the API, its schema and its documentation page."""

from django.contrib.auth.decorators import login_required
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import IsAuthenticated

from accounts import api as accounts
from portfolios import api as portfolios
from rebalancer import api as rebalancer
from robo.common.api.views import NothingHere, SessionAuthentication

version_1 = [
    path("me/", accounts.Me.as_view(), name="me"),
    path("households/", accounts.Households.as_view(), name="households"),
    path("households/<uuid:public_id>/", accounts.HouseholdDetail.as_view(), name="household"),
    path(
        "households/<uuid:public_id>/documents/", rebalancer.Documents.as_view(), name="documents"
    ),
    path("accounts/", accounts.Accounts.as_view(), name="accounts"),
    path("accounts/<uuid:public_id>/", accounts.AccountDetail.as_view(), name="account"),
    path("accounts/<uuid:public_id>/holdings/", rebalancer.Holdings.as_view(), name="holdings"),
    path("accounts/<uuid:public_id>/checks/", rebalancer.Checks.as_view(), name="checks"),
    path("accounts/<uuid:public_id>/deposits/", rebalancer.Deposits.as_view(), name="deposits"),
    path(
        "accounts/<uuid:public_id>/withdrawals/",
        rebalancer.Withdrawals.as_view(),
        name="withdrawals",
    ),
    path("proposals/", rebalancer.Proposals.as_view(), name="proposals"),
    path("proposals/<uuid:public_id>/", rebalancer.ProposalDetail.as_view(), name="proposal"),
    path(
        "proposals/<uuid:public_id>/approve/", rebalancer.ProposalApproval.as_view(), name="approve"
    ),
    path(
        "proposals/<uuid:public_id>/reject/", rebalancer.ProposalRejection.as_view(), name="reject"
    ),
    path(
        "proposals/<uuid:public_id>/remove-trades/",
        rebalancer.TradeRemoval.as_view(),
        name="remove_trades",
    ),
    path("proposals/<uuid:public_id>/answer/", rebalancer.ProposalAnswer.as_view(), name="answer"),
    path("orders/", rebalancer.Orders.as_view(), name="orders"),
    path(
        "orders/<uuid:public_id>/cancel/",
        rebalancer.OrderCancellation.as_view(),
        name="cancel_order",
    ),
    path("execution-costs/", rebalancer.ExecutionCosts.as_view(), name="execution_costs"),
    path("switches/", rebalancer.Switches.as_view(), name="switches"),
    path("limits/", rebalancer.LimitsInForce.as_view(), name="limits"),
    path("solve/", rebalancer.Solve.as_view(), name="solve"),
    path("prices/", portfolios.Prices.as_view(), name="prices"),
    # A symbol may hold a slash.
    path("prices/<path:symbol>/", portfolios.PriceHistory.as_view(), name="price_history"),
    path("models/", portfolios.Models.as_view(), name="models"),
    path("models/<uuid:public_id>/", portfolios.ModelDetail.as_view(), name="model"),
    # Anything else, line breaks included. With the slash, so that an address without one is still
    # led to the right one.
    re_path(r"^[\s\S]*/$", NothingHere.as_view(), name="nothing"),
]

app_name = "api"
urlpatterns = [
    path("v1/", include(version_1)),
    path(
        "schema/",
        SpectacularAPIView.as_view(
            permission_classes=[IsAuthenticated], authentication_classes=[SessionAuthentication]
        ),
        name="schema",
    ),
    path(
        "docs/",
        login_required(
            SpectacularSwaggerSplitView.as_view(
                url_name="api:schema", template_name="api/docs.html"
            )
        ),
        name="docs",
    ),
]
