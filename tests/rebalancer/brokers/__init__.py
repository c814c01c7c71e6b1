"""Brokers: the paper exchange, its process, Alpaca and FIX, each against a real counterpart."""
