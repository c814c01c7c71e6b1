"""DECISIONS: policies, checks, proposals, trades, decisions, orders and fills.

The row is the queue: each stage of a rebalance leaves rows whose status is the next stage's work
list. Decisions and fills are append-only in PostgreSQL. Nothing here cascades.
"""

from rebalancer.models.looks import Check, CycleRun
from rebalancer.models.orders import Fill, Order
from rebalancer.models.policies import Policy, PolicyAssignment
from rebalancer.models.proposals import Decision, Proposal, Trade, TradeLot

__all__ = [
    "Check",
    "CycleRun",
    "Decision",
    "Fill",
    "Order",
    "Policy",
    "PolicyAssignment",
    "Proposal",
    "Trade",
    "TradeLot",
]
