"""Endpoints of decisions: books of accounts, proposals with their decision, orders, the engine."""

from rebalancer.api.books import (
    Checks,
    Deposits,
    Holdings,
    OrderCancellation,
    Orders,
    Withdrawals,
)
from rebalancer.api.consents import Documents, ProposalAnswer
from rebalancer.api.controls import LimitsInForce, Switches
from rebalancer.api.execution import ExecutionCosts
from rebalancer.api.proposals import (
    ProposalApproval,
    ProposalDetail,
    ProposalRejection,
    Proposals,
    TradeRemoval,
)
from rebalancer.api.solving import CASE_SHOWN, Solve

__all__ = [
    "CASE_SHOWN",
    "Checks",
    "Deposits",
    "Documents",
    "ExecutionCosts",
    "Holdings",
    "LimitsInForce",
    "OrderCancellation",
    "Orders",
    "ProposalAnswer",
    "ProposalApproval",
    "ProposalDetail",
    "ProposalRejection",
    "Proposals",
    "Solve",
    "Switches",
    "TradeRemoval",
    "Withdrawals",
]
