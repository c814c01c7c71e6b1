"""Which address shows or does what; names are stable, paths may change."""

from django.urls import path

from rebalancer.views import (
    accounts,
    households,
    market,
    orders,
    policies,
    proposals,
    publishing,
    work,
)

app_name = "rebalancer"
urlpatterns = [
    path("work/", work.show_work_list, name="work_list"),
    path("work/approve/", work.approve_many, name="approve_many"),
    path("households/", households.list_households, name="households"),
    path("households/<uuid:public_id>/", households.show_household, name="household"),
    path("accounts/<uuid:public_id>/", accounts.show_account, name="account"),
    path("accounts/<uuid:public_id>/deposit/", accounts.deposit, name="deposit"),
    path("accounts/<uuid:public_id>/withdraw/", accounts.withdraw, name="withdraw"),
    path("accounts/<uuid:public_id>/preview/", accounts.preview, name="cash_preview"),
    path("accounts/<uuid:public_id>/needs/", accounts.add_need, name="add_cash_need"),
    path(
        "accounts/<uuid:public_id>/needs/<int:need_id>/settle/",
        accounts.settle_need,
        name="settle_cash_need",
    ),
    path("accounts/<uuid:public_id>/look/", accounts.look_now, name="look_now"),
    path("proposals/<uuid:public_id>/", proposals.show_proposal, name="proposal"),
    path("proposals/<uuid:public_id>/decide/", proposals.decide, name="decide"),
    path("proposals/<uuid:public_id>/remove/", proposals.remove_trades, name="remove_trades"),
    path(
        "proposals/<uuid:public_id>/alternatives/",
        proposals.show_alternatives,
        name="alternatives",
    ),
    path("proposals/<uuid:public_id>/what-if/", proposals.show_what_if, name="what_if"),
    path("proposals/<uuid:public_id>/use/", proposals.use_alternative, name="use_alternative"),
    path("proposals/<uuid:public_id>/progress/", proposals.show_progress, name="progress"),
    path("orders/", orders.list_orders, name="orders"),
    path("policies/", policies.list_policies, name="policies"),
    path("policies/new/", policies.add_policy, name="add_policy"),
    path("policies/explain/", policies.explain_policy, name="explain_policy"),
    path("policies/<uuid:public_id>/", policies.show_policy, name="policy"),
    path("policies/<uuid:public_id>/assign/", policies.assign_policy, name="assign_policy"),
    path("market/", market.show_market, name="market"),
    path("market/move/", market.move_market, name="move_market"),
    path("market/runs/<uuid:public_id>/", market.show_run, name="cycle_run"),
    path("publish-preview/<int:version_id>/", publishing.show_preview, name="publish_preview"),
]
