"""A broker behind FIX 4.4, over a thin session of our own."""

from rebalancer.brokers.fix.broker import FixBroker
from rebalancer.brokers.fix.session import FixConnection
from rebalancer.brokers.fix.store import FixStore

__all__ = ["FixBroker", "FixConnection", "FixStore"]
