"""The fixed lists of the decision tables: causes, triggers, bands, destinations, reasons."""

from enum import StrEnum


class Cause(StrEnum):
    """Why an account was looked at."""

    CALENDAR = "CALENDAR"
    THRESHOLD = "THRESHOLD"
    COMBINED = "COMBINED"
    CASH_FLOW = "CASH_FLOW"
    MODEL_CHANGE = "MODEL_CHANGE"
    REQUESTED = "REQUESTED"


class CheckStatus(StrEnum):
    """What a look found, and what became of it."""

    QUIET = "QUIET"  # inside its bands: nothing to do
    DUE = "DUE"  # trades are wanted; the engine has not answered yet
    PROPOSED = "PROPOSED"
    NO_TRADE = "NO_TRADE"  # wanted, but no trade above the minimum would help
    BLOCKED = "BLOCKED"  # the reason is in the row


class Trigger(StrEnum):
    """When a policy acts."""

    CALENDAR = "CALENDAR"
    THRESHOLD = "THRESHOLD"
    COMBINED = "COMBINED"


class Schedule(StrEnum):
    """When a policy looks."""

    DAILY = "DAILY"
    MONTHLY = "MONTHLY"
    QUARTERLY = "QUARTERLY"
    ANNUAL = "ANNUAL"
    CRON = "CRON"


class BandMeasure(StrEnum):
    """How the half-width of a band follows from the target weight."""

    ABSOLUTE = "ABSOLUTE"
    RELATIVE = "RELATIVE"
    WIDER = "WIDER"
    NARROWER = "NARROWER"


class BandLevel(StrEnum):
    """What a band is laid around."""

    ASSET_CLASS = "ASSET_CLASS"
    SECURITY = "SECURITY"


class Destination(StrEnum):
    """How far a rebalance goes."""

    TARGET = "TARGET"
    BAND_EDGE = "BAND_EDGE"


class TradeReason(StrEnum):
    """The one thing that explains a trade best."""

    OVERWEIGHT = "OVERWEIGHT"
    UNDERWEIGHT = "UNDERWEIGHT"
    NOT_IN_MODEL = "NOT_IN_MODEL"
    SUBSTITUTE = "SUBSTITUTE"
    EXCLUDED = "EXCLUDED"
    RAISE_CASH = "RAISE_CASH"
    INVEST_CASH = "INVEST_CASH"


class CycleStatus(StrEnum):
    """How far a run of the whole cycle has come."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"


class MarketMove(StrEnum):
    """What a person may do to the simulated market."""

    NEXT_DAY = "NEXT_DAY"
    NEXT_WEEK = "NEXT_WEEK"
    CRASH = "CRASH"
    RALLY = "RALLY"
