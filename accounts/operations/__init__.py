"""Every write to people's rows: one transaction each, with its audit entry inside."""
