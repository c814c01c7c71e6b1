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
    ACTIONS = "ACTIONS"  # shares that a split makes or takes away
    ADJUSTMENT = "ADJUSTMENT"  # the other side of a difference with the broker, settled by hand


class EntryKind(StrEnum):
    """Which business event a journal entry records."""

    OPENING = "OPENING"
    DEPOSIT = "DEPOSIT"
    WITHDRAWAL = "WITHDRAWAL"
    BUY = "BUY"
    SELL = "SELL"
    DIVIDEND = "DIVIDEND"
    REINVEST = "REINVEST"  # a dividend buys more of what paid it
    SPLIT = "SPLIT"
    MERGER = "MERGER"  # every share is bought out for cash
    REVERSAL = "REVERSAL"  # takes another entry back
    ADJUSTMENT = "ADJUSTMENT"  # closes a break


class ActionKind(StrEnum):
    """What a company does to its shares."""

    SPLIT = "SPLIT"
    REVERSE_SPLIT = "REVERSE_SPLIT"
    SYMBOL_CHANGE = "SYMBOL_CHANGE"
    CASH_DIVIDEND = "CASH_DIVIDEND"
    CASH_MERGER = "CASH_MERGER"
    DELISTING = "DELISTING"


class ActionStatus(StrEnum):
    """How far a corporate action has come."""

    RECORDED = "RECORDED"  # by one person: nothing is booked upon it, and nothing traded across it
    ANNOUNCED = "ANNOUNCED"  # confirmed by another
    APPLIED = "APPLIED"
    WITHDRAWN = "WITHDRAWN"


class BreakKind(StrEnum):
    """What made our books and the broker's word differ."""

    BUST = "BUST"  # a trade was taken back after its shares or cash were used
    OVERFILL = "OVERFILL"  # the broker traded more than it was asked to
    POSITION = "POSITION"
    CASH = "CASH"
    UNKNOWN = "UNKNOWN"


class AdjustmentStatus(StrEnum):
    """What became of an entry that somebody asked for to settle a break."""

    WAITING = "WAITING"
    BOOKED = "BOOKED"
    DROPPED = "DROPPED"


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
