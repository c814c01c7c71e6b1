"""The fixed lists of the decision tables: causes, triggers, bands, destinations, reasons."""

from enum import StrEnum


class Cause(StrEnum):
    """Why an account was looked at."""

    CALENDAR = "CALENDAR"
    THRESHOLD = "THRESHOLD"
    COMBINED = "COMBINED"
    CASH_FLOW = "CASH_FLOW"
    MODEL_CHANGE = "MODEL_CHANGE"
    RISK = "RISK"
    ECONOMIC = "ECONOMIC"
    REQUESTED = "REQUESTED"


# Looks that nobody asked for; between two rebalances from them lies an account's cool-down.
AUTOMATIC = (Cause.CALENDAR, Cause.THRESHOLD, Cause.COMBINED, Cause.RISK, Cause.ECONOMIC)


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
    RISK = "RISK"  # the tracking error exceeds the policy's limit
    ECONOMIC = "ECONOMIC"  # the best plan gains more than the policy's hurdle


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
    BETWEEN = "BETWEEN"
    BAND_EDGE = "BAND_EDGE"


class DriftMeasure(StrEnum):
    """How the engine prices a distance from target."""

    WEIGHT = "WEIGHT"  # the square of each weight's distance
    RISK = "RISK"  # the variance of the difference, by the securities' covariance


class CapKind(StrEnum):
    """What a cap on weight is laid upon."""

    ASSET_CLASS = "ASSET_CLASS"
    SECTOR = "SECTOR"
    ISSUER = "ISSUER"
    SECURITY = "SECURITY"


class Mode(StrEnum):
    """Which trades are considered at all."""

    FULL = "FULL"  # as far as the policy's destination
    BAND_EDGE = "BAND_EDGE"
    BUY_ONLY = "BUY_ONLY"
    SELL_ONLY = "SELL_ONLY"
    RAISE_CASH = "RAISE_CASH"  # sell what cash is short, nothing else
    SPEND_CASH = "SPEND_CASH"  # buy for the cash that came in, or raise what is short
    HARVEST_ONLY = "HARVEST_ONLY"  # sell losses, buy what may stand in
    DRIFTED_ONLY = "DRIFTED_ONLY"  # trade only what is outside its band


class Path(StrEnum):
    """Which road through the engine an answer took."""

    ACCOUNT = "ACCOUNT"  # each account by itself: the compiled kernel
    NETTED = "NETTED"  # the accounts of one tax return, gains against losses
    WASH = "WASH"  # branched: either the loss is sold or the security bought
    COVARIANCE = "COVARIANCE"  # drift by risk
    HOUSEHOLD = "HOUSEHOLD"  # all accounts in one problem


class TradeReason(StrEnum):
    """The one thing that explains a trade best."""

    OVERWEIGHT = "OVERWEIGHT"
    UNDERWEIGHT = "UNDERWEIGHT"
    NOT_IN_MODEL = "NOT_IN_MODEL"
    SUBSTITUTE = "SUBSTITUTE"
    EXCLUDED = "EXCLUDED"
    RAISE_CASH = "RAISE_CASH"
    INVEST_CASH = "INVEST_CASH"
    HARVEST = "HARVEST"
    PARTNER = "PARTNER"  # bought in place of what is sold at a loss
    LOCATION = "LOCATION"  # moves to the account where it is taxed least


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


class BrokerKind(StrEnum):
    """Which adapter an order goes through."""

    PAPER = "PAPER"
    ALPACA = "ALPACA"
    FIX = "FIX"


class SliceStrategy(StrEnum):
    """How a block is spread over its trading day."""

    AT_ONCE = "AT_ONCE"
    TWAP = "TWAP"  # evenly in time
    VWAP = "VWAP"  # as the market usually trades
    SCHEDULE = "SCHEDULE"  # Almgren and Chriss: impact against risk


class CostSource(StrEnum):
    """Whose word on spread and impact counts where trades are planned."""

    STATED = "STATED"  # the firm's own figures
    MEASURED = "MEASURED"  # what its executions came to, where there are enough of them


class ExecutionKind(StrEnum):
    """What a broker reports: a fill, that a fill never was, or what a fill should have said."""

    FILL = "FILL"
    BUST = "BUST"
    CORRECTION = "CORRECTION"
