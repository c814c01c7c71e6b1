"""Alpaca behind the broker's Protocol, over the maker's own client library."""

from rebalancer.brokers.alpaca.broker import AlpacaBroker

__all__ = ["AlpacaBroker"]
