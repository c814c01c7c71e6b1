"""Who may do what at all: one table, read by every door. Which rows it may be done to is `access`.

A role holds what its line in the matrix of permissions says, and nothing else: no role contains
another. A token acts as SERVICE and holds a permission only if its scopes name it as well.
"""

from collections.abc import Mapping
from enum import StrEnum

from accounts.domain.roles import Role


class Permission(StrEnum):
    """One thing that can be done, or one kind of thing that can be looked at."""

    # People
    READ_PROFILE = "READ_PROFILE"  # risk profile, consents, documents
    WRITE_PROFILE = "WRITE_PROFILE"  # answer for oneself
    REVIEW_PROFILES = "REVIEW_PROFILES"  # note what came of answers that disagree
    READ_DISCLOSURES = "READ_DISCLOSURES"  # every version of the firm's texts for clients
    WRITE_DISCLOSURES = "WRITE_DISCLOSURES"
    PUBLISH_DISCLOSURES = "PUBLISH_DISCLOSURES"  # never one's own
    READ_WISHES = "READ_WISHES"
    WRITE_WISHES = "WRITE_WISHES"
    READ_USERS = "READ_USERS"
    WRITE_USERS = "WRITE_USERS"  # invite, disable, roles (never one's own)
    WRITE_HOUSEHOLDS = "WRITE_HOUSEHOLDS"  # set up, taxes, who advises them
    READ_JOURNAL = "READ_JOURNAL"
    VERIFY_JOURNAL = "VERIFY_JOURNAL"  # without its content
    REQUEST_SUPPORT = "REQUEST_SUPPORT"  # a look at one household, for a while, on the record
    APPROVE_SUPPORT = "APPROVE_SUPPORT"
    # Books and decisions
    READ_BOOK = "READ_BOOK"  # lists over many households: the work list, the order blotter
    READ_HOLDINGS = "READ_HOLDINGS"  # holdings, performance, lots, checks
    MOVE_CASH = "MOVE_CASH"  # deposits, withdrawals, money to have ready
    READ_PROPOSALS = "READ_PROPOSALS"
    CREATE_PROPOSALS = "CREATE_PROPOSALS"  # ask for a look, which may end in a proposal
    EDIT_PROPOSALS = "EDIT_PROPOSALS"
    DECIDE_PROPOSALS = "DECIDE_PROPOSALS"
    ANSWER_PROPOSALS = "ANSWER_PROPOSALS"  # a client's own yes or no
    READ_ORDERS = "READ_ORDERS"
    CANCEL_ORDERS = "CANCEL_ORDERS"
    # The firm's rules
    READ_MODELS = "READ_MODELS"
    WRITE_MODELS = "WRITE_MODELS"  # drafts, and hand them over for review
    PUBLISH_MODELS = "PUBLISH_MODELS"  # never one's own
    READ_POLICIES = "READ_POLICIES"  # policies and limits
    WRITE_POLICIES = "WRITE_POLICIES"
    CONFIRM_LIMITS = "CONFIRM_LIMITS"  # as the second person
    READ_SECURITIES = "READ_SECURITIES"
    WRITE_SECURITIES = "WRITE_SECURITIES"
    CONFIRM_ACTIONS = "CONFIRM_ACTIONS"  # of companies, as the second person
    READ_PRICES = "READ_PRICES"
    WRITE_PRICES = "WRITE_PRICES"
    RELEASE_PRICES = "RELEASE_PRICES"  # those that were kept apart
    WRITE_IMPORTS = "WRITE_IMPORTS"  # statements into the books
    # Running it
    STOP_OWN_ACCOUNT = "STOP_OWN_ACCOUNT"
    SET_SWITCH = "SET_SWITCH"
    CLEAR_SWITCH = "CLEAR_SWITCH"
    RECONCILE = "RECONCILE"  # how our books compare with the broker's, and compare them now
    SETTLE_REPORTS = "SETTLE_REPORTS"  # what the broker says and fits nothing
    ADJUST_BOOKS = "ADJUST_BOOKS"  # as the second person
    CONNECT_BROKER = "CONNECT_BROKER"
    WRITE_PROGRAMS = "WRITE_PROGRAMS"  # service tokens and webhooks
    WRITE_SECRETS = "WRITE_SECRETS"
    CONFIRM_SECRETS = "CONFIRM_SECRETS"
    ROTATE_SECRETS = "ROTATE_SECRETS"
    MOVE_MARKET = "MOVE_MARKET"  # of a simulated firm


_P = Permission
_CLIENT, _ADVISOR, _SUPERVISOR = Role.CLIENT, Role.ADVISOR, Role.SUPERVISOR
_MODEL_ADMIN, _ADMIN, _OPERATOR, _SERVICE = (
    Role.MODEL_ADMIN,
    Role.ADMIN,
    Role.OPERATOR,
    Role.SERVICE,
)

# An operator reads a household's things only under a grant that a supervisor gave: the permission
# is here, the rows are in `access`.
ROLES_OF: Mapping[Permission, frozenset[Role]] = {
    _P.READ_PROFILE: frozenset({_CLIENT, _ADVISOR, _SUPERVISOR, _ADMIN, _OPERATOR}),
    _P.WRITE_PROFILE: frozenset({_CLIENT}),
    _P.REVIEW_PROFILES: frozenset({_ADVISOR, _SUPERVISOR}),
    _P.READ_DISCLOSURES: frozenset({_ADVISOR, _SUPERVISOR, _ADMIN}),
    _P.WRITE_DISCLOSURES: frozenset({_ADMIN}),
    _P.PUBLISH_DISCLOSURES: frozenset({_SUPERVISOR, _ADMIN}),
    _P.READ_WISHES: frozenset({_CLIENT, _ADVISOR, _SUPERVISOR, _OPERATOR}),
    _P.WRITE_WISHES: frozenset({_CLIENT, _ADVISOR}),
    _P.READ_USERS: frozenset({_SUPERVISOR, _ADMIN}),
    _P.WRITE_USERS: frozenset({_ADMIN}),
    _P.WRITE_HOUSEHOLDS: frozenset({_ADMIN}),
    _P.READ_JOURNAL: frozenset({_CLIENT, _ADVISOR, _SUPERVISOR, _MODEL_ADMIN, _ADMIN}),
    _P.VERIFY_JOURNAL: frozenset({_SUPERVISOR, _ADMIN, _OPERATOR}),
    _P.REQUEST_SUPPORT: frozenset({_OPERATOR}),
    _P.APPROVE_SUPPORT: frozenset({_SUPERVISOR}),
    _P.READ_BOOK: frozenset({_ADVISOR, _SUPERVISOR, _OPERATOR}),
    _P.READ_HOLDINGS: frozenset({_CLIENT, _ADVISOR, _SUPERVISOR, _OPERATOR, _SERVICE}),
    _P.MOVE_CASH: frozenset({_CLIENT, _ADVISOR}),
    _P.READ_PROPOSALS: frozenset({_CLIENT, _ADVISOR, _SUPERVISOR, _OPERATOR}),
    _P.CREATE_PROPOSALS: frozenset({_ADVISOR, _SERVICE}),
    _P.EDIT_PROPOSALS: frozenset({_ADVISOR}),
    _P.DECIDE_PROPOSALS: frozenset({_ADVISOR, _SUPERVISOR}),
    _P.ANSWER_PROPOSALS: frozenset({_CLIENT}),
    _P.READ_ORDERS: frozenset({_CLIENT, _ADVISOR, _SUPERVISOR, _OPERATOR}),
    _P.CANCEL_ORDERS: frozenset({_SUPERVISOR}),
    _P.READ_MODELS: frozenset({_ADVISOR, _SUPERVISOR, _MODEL_ADMIN, _ADMIN, _SERVICE}),
    _P.WRITE_MODELS: frozenset({_MODEL_ADMIN}),
    _P.PUBLISH_MODELS: frozenset({_ADMIN}),
    _P.READ_POLICIES: frozenset({_ADVISOR, _SUPERVISOR, _MODEL_ADMIN, _ADMIN}),
    _P.WRITE_POLICIES: frozenset({_ADMIN}),
    _P.CONFIRM_LIMITS: frozenset({_SUPERVISOR, _ADMIN}),
    _P.READ_SECURITIES: frozenset({_ADVISOR, _SUPERVISOR, _MODEL_ADMIN, _ADMIN}),
    _P.WRITE_SECURITIES: frozenset({_ADMIN}),
    _P.CONFIRM_ACTIONS: frozenset({_SUPERVISOR, _ADMIN}),
    _P.READ_PRICES: frozenset({_ADVISOR, _SUPERVISOR, _ADMIN, _SERVICE}),
    _P.WRITE_PRICES: frozenset({_ADMIN, _SERVICE}),
    _P.RELEASE_PRICES: frozenset({_SUPERVISOR}),
    _P.WRITE_IMPORTS: frozenset({_ADMIN}),
    _P.STOP_OWN_ACCOUNT: frozenset({_CLIENT}),
    _P.SET_SWITCH: frozenset({_ADVISOR, _SUPERVISOR, _ADMIN, _OPERATOR}),
    _P.CLEAR_SWITCH: frozenset({_SUPERVISOR}),
    _P.RECONCILE: frozenset({_SUPERVISOR, _ADMIN, _OPERATOR}),
    _P.SETTLE_REPORTS: frozenset({_SUPERVISOR, _OPERATOR}),
    _P.ADJUST_BOOKS: frozenset({_SUPERVISOR}),
    _P.CONNECT_BROKER: frozenset({_ADMIN}),
    _P.WRITE_PROGRAMS: frozenset({_ADMIN}),
    _P.WRITE_SECRETS: frozenset({_ADMIN}),
    _P.CONFIRM_SECRETS: frozenset({_SUPERVISOR, _ADMIN}),
    _P.ROTATE_SECRETS: frozenset({_OPERATOR}),
    _P.MOVE_MARKET: frozenset({_ADVISOR, _SUPERVISOR, _ADMIN}),
}


def role_holds(role: str, permission: Permission) -> bool:
    """Return whether a role holds a permission; a role that is unknown holds none."""
    return role in ROLES_OF[permission]
