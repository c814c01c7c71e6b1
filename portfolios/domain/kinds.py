"""The fixed lists of the fact tables: pockets of the ledger, entry kinds, model states, reasons."""

from enum import StrEnum


class Pocket(StrEnum):
    """Where money or shares can be, seen from one client account."""

    CASH = "CASH"
    SECURITIES = "SECURITIES"
    MARKET = "MARKET"  # the other side of a trade
    EXTERNAL = "EXTERNAL"  # the client's own bank, or another custodian
    INCOME = "INCOME"  # dividends and interest
    FEES = "FEES"
    OPENING = "OPENING"  # what was already there when the account was taken on


class EntryKind(StrEnum):
    """Which business event a journal entry records."""

    OPENING = "OPENING"
    DEPOSIT = "DEPOSIT"
    WITHDRAWAL = "WITHDRAWAL"
    BUY = "BUY"
    SELL = "SELL"
    DIVIDEND = "DIVIDEND"


class Side(StrEnum):
    """Which way a trade goes."""

    BUY = "BUY"
    SELL = "SELL"


class SubstituteUse(StrEnum):
    """In which accounts a substitute may stand in."""

    ANY = "ANY"
    TAXABLE = "TAXABLE"
    SHELTERED = "SHELTERED"  # tax-deferred and tax-free ones


class PriceRefusal(StrEnum):
    """Why a quote is kept apart and never used."""

    UNKNOWN_SECURITY = "UNKNOWN_SECURITY"
    NOT_A_NUMBER = "NOT_A_NUMBER"
    NOT_POSITIVE = "NOT_POSITIVE"
    TOO_LARGE = "TOO_LARGE"
    FUTURE = "FUTURE"
    STALE = "STALE"
    NOT_A_SESSION = "NOT_A_SESSION"
    JUMP = "JUMP"
    CONFLICT = "CONFLICT"
    UNREADABLE = "UNREADABLE"


class ModelStatus(StrEnum):
    """The life of a model version; once published it never changes."""

    DRAFT = "DRAFT"
    IN_REVIEW = "IN_REVIEW"
    PUBLISHED = "PUBLISHED"
    RETIRED = "RETIRED"
