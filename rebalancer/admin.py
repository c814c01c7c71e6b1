"""Decisions in Django's admin, for looking only: each has a page, or a life cycle, of its own."""

from rebalancer import models
from robo.common.admin import EITHER, show_records

show_records(
    models.Policy,
    "name",
    "trigger",
    "schedule",
    "destination",
    "is_active",
    search=("name",),
    roles=EITHER,
)
show_records(
    models.PolicyAssignment,
    "account",
    "policy",
    firm_path="account__firm",
    related=("account__household", "policy"),
    search=("account__name", "policy__name"),
    roles=EITHER,
)
show_records(
    models.CycleRun,
    "label",
    "status",
    "step",
    "created_at",
    "finished_at",
    filters=("status",),
    roles=EITHER,
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
    models.Block,
    "security",
    "side",
    "quantity",
    "filled_quantity",
    "status",
    "broker",
    "session_date",
    related=("security",),
    search=("=security__symbol", "=public_id"),
    filters=("status", "side", "broker"),
)
show_records(
    models.Slice,
    "client_order_id",
    "block",
    "quantity",
    "filled_quantity",
    "status",
    "is_parked",
    "due_at",
    firm_path="block__firm",
    related=("block",),
    search=("client_order_id", "broker_order_id"),
    filters=("status", "is_parked"),
)
show_records(
    models.Execution,
    "slice",
    "kind",
    "quantity",
    "price",
    "execution_date",
    "execution_id",
    related=("slice",),
    search=("execution_id", "=slice__client_order_id"),
    filters=("kind", "broker"),
)
show_records(
    models.ParkedReport,
    "report_key",
    "broker",
    "reason",
    "recorded_at",
    "resolved_at",
    search=("report_key", "client_order_id"),
    filters=("broker",),
)
show_records(
    models.ReconciliationRun,
    "day",
    "broker",
    "status",
    "asked_by",
    "started_at",
    "finished_at",
    related=("asked_by",),
    filters=("status", "broker"),
)
show_records(
    models.SliceDecision,
    "slice",
    "answer",
    "asked_by",
    "confirmed_by",
    "is_withdrawn",
    related=("slice", "asked_by", "confirmed_by"),
    filters=("answer",),
)
show_records(
    models.Fill,
    "order",
    "quantity",
    "amount",
    "price",
    "fill_date",
    "number",
    firm_path="order__firm",
    related=("order",),
    search=("=order__client_order_id",),
)
