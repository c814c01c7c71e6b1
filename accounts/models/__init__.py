"""PEOPLE: firms, users, households, client accounts, risk profiles, wishes and the audit trail.

Tables and constraints, nothing else. Whoever looks for a rule finds it in `domain`, for a write in
`operations`. Rows that record what happened (risk profiles, audit entries) are append-only.
"""

from accounts.models.consents import Consent, Disclosure, Mandate, ProfileReview
from accounts.models.doors import Attempt, OutgoingMail, SecondFactorReset
from accounts.models.idempotency import IdempotentAnswer
from accounts.models.installation import LookOnly
from accounts.models.journal import AuditEntry, JournalCheckpoint, JournalHead, JournalLink
from accounts.models.people import (
    Account,
    AdvisorAssignment,
    Firm,
    Household,
    User,
    UserManager,
)
from accounts.models.planning import CashNeed, RiskProfile, Wish
from accounts.models.secrets import FirmSecret
from accounts.models.support import SupportGrant
from accounts.models.tokens import ServiceToken
from accounts.models.webhooks import WebhookCursor, WebhookDelivery, WebhookEndpoint

__all__ = [
    "Account",
    "AdvisorAssignment",
    "Attempt",
    "AuditEntry",
    "CashNeed",
    "Consent",
    "Disclosure",
    "Firm",
    "FirmSecret",
    "Household",
    "IdempotentAnswer",
    "JournalCheckpoint",
    "JournalHead",
    "JournalLink",
    "LookOnly",
    "Mandate",
    "OutgoingMail",
    "ProfileReview",
    "RiskProfile",
    "SecondFactorReset",
    "SupportGrant",
    "ServiceToken",
    "User",
    "UserManager",
    "WebhookCursor",
    "WebhookDelivery",
    "WebhookEndpoint",
    "Wish",
]
