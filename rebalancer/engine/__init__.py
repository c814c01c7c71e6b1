"""The rebalancing engine: arrays in, trades out. Knows no table, no clock and no request."""
