"""PEOPLE: firms, users, households, client accounts, risk profiles, wishes and the audit trail.

Tables and constraints, nothing else. Whoever looks for a rule finds it in `domain`, for a write in
`operations`. Rows that record what happened (risk profiles, audit entries) are append-only.
"""

from accounts.models.journal import AuditEntry
from accounts.models.people import (
    Account,
    AdvisorAssignment,
    Firm,
    Household,
    User,
    UserManager,
)
from accounts.models.planning import CashNeed, RiskProfile, Wish

__all__ = [
    "Account",
    "AdvisorAssignment",
    "AuditEntry",
    "CashNeed",
    "Firm",
    "Household",
    "RiskProfile",
    "User",
    "UserManager",
    "Wish",
]
