"""Gains netted over a tax return, with budgets and turnover limits, around any kernel."""
