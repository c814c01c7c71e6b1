"""Who people are to the firm."""

from enum import StrEnum


class Role(StrEnum):
    """What a user may do at all; which rows they may do it to is `access`."""

    CLIENT = "CLIENT"
    ADVISOR = "ADVISOR"
    SUPERVISOR = "SUPERVISOR"  # sees the firm's book, decides where advisors may not
    MODEL_ADMIN = "MODEL_ADMIN"  # drafts model portfolios
    ADMIN = "ADMIN"  # the firm's administrator
    OPERATOR = "OPERATOR"  # keeps the installation running, without reading clients' data
    # The engine itself: it proposes, and it can neither sign in nor approve.
    SERVICE = "SERVICE"


class TaxStatus(StrEnum):
    """How gains in an account are taxed."""

    TAXABLE = "TAXABLE"
    TAX_DEFERRED = "TAX_DEFERRED"
    TAX_FREE = "TAX_FREE"


class TaxCountry(StrEnum):
    """Whose tax law a household's gains fall under; portfolios knows the law by the same code."""

    US = "US"
    UK = "UK"


class WishKind(StrEnum):
    """What a household may ask of its managers."""

    NEVER_BUY = "NEVER_BUY"
    NEVER_SELL = "NEVER_SELL"
    EXCLUDE = "EXCLUDE"


class PriceSourceKind(StrEnum):
    """Where a firm's daily prices come from."""

    FILES = "FILES"
    SIMULATED = "SIMULATED"
