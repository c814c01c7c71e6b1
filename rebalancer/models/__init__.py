"""DECISIONS: policies, checks, proposals, trades, decisions, orders and fills.

The row is the queue: each stage of a rebalance leaves rows whose status is the next stage's work
list. Decisions and fills are append-only in PostgreSQL. Nothing here cascades.
"""

from rebalancer.models.answers import ClientAnswer
from rebalancer.models.connections import BrokerConnection
from rebalancer.models.controls import EnteredOrder, LimitSet, LimitUse, RateUse, Switch
from rebalancer.models.costs import CostEstimate
from rebalancer.models.looks import Check, CycleRun, LookShard
from rebalancer.models.orders import Block, Execution, Fill, Order, ParkedReport, Slice
from rebalancer.models.policies import Policy, PolicyAssignment
from rebalancer.models.proposals import Decision, Proposal, Trade, TradeLot
from rebalancer.models.reconciliation import CustodyCursor, ReconciliationRun, SliceDecision

__all__ = [
    "Block",
    "BrokerConnection",
    "Check",
    "ClientAnswer",
    "CostEstimate",
    "CustodyCursor",
    "CycleRun",
    "Decision",
    "EnteredOrder",
    "Execution",
    "Fill",
    "LimitSet",
    "LimitUse",
    "LookShard",
    "Order",
    "ParkedReport",
    "Policy",
    "PolicyAssignment",
    "Proposal",
    "RateUse",
    "ReconciliationRun",
    "Slice",
    "SliceDecision",
    "Switch",
    "Trade",
    "TradeLot",
]
