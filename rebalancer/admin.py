"""Decisions in Django's admin, for looking only: each has a page, or a life cycle, of its own."""

from rebalancer import models
from robo.common.admin import show_records

show_records(
    models.Policy, "name", "trigger", "schedule", "destination", "is_active", search=("name",)
)
show_records(
    models.PolicyAssignment,
    "account",
    "policy",
    firm_path="account__firm",
    related=("account__household", "policy"),
    search=("account__name", "policy__name"),
)
show_records(
    models.CycleRun, "label", "status", "step", "created_at", "finished_at", filters=("status",)
)
show_records(
    models.Check,
    "account",
    "cause",
    "price_date",
    "status",
    "drift_max",
    "created_at",
    related=("account__household",),
    search=("account__name",),
    filters=("status", "cause", "is_breached"),
)
show_records(
    models.Proposal,
    "account",
    "price_date",
    "status",
    "turnover_amount",
    "tax_amount",
    "created_at",
    related=("account__household",),
    search=("account__name", "=public_id"),
    filters=("status",),
    # The whole input of the engine can be megabytes; the product's own page explains it.
    hidden=("inputs",),
)
show_records(
    models.Trade,
    "proposal",
    "side",
    "quantity",
    "security",
    "amount",
    "reason",
    firm_path="proposal__firm",
    related=("proposal", "security"),
    search=("=security__symbol",),
    filters=("side", "reason"),
)
show_records(
    models.TradeLot,
    "trade",
    "lot",
    "quantity",
    "gain",
    "is_long_term",
    firm_path="trade__proposal__firm",
    related=("trade__security", "lot__security"),
    filters=("is_long_term",),
)
show_records(
    models.Decision,
    "proposal",
    "is_approved",
    "decided_by",
    "decided_at",
    firm_path="proposal__firm",
    related=("proposal", "decided_by"),
    filters=("is_approved",),
)
show_records(
    models.Order,
    "client_order_id",
    "account",
    "side",
    "quantity",
    "security",
    "status",
    "created_at",
    related=("account__household", "security"),
    search=("client_order_id", "account__name", "=security__symbol"),
    filters=("status", "side"),
)
show_records(
    models.Fill,
    "order",
    "quantity",
    "price",
    "fill_date",
    "broker",
    "broker_fill_id",
    firm_path="order__firm",
    related=("order",),
    search=("broker_fill_id",),
)
