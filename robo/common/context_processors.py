"""What every page knows: whose it is, the way around, and which day the market has."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse


@dataclass(frozen=True, slots=True)
class Destination:
    """One line of the navigation; the page of a household needs the household's id."""

    label: str
    url_name: str
    icon: str
    is_of_household: bool = False

    def get_url(self, household_id: object) -> str:
        """Return the address, for a client's own household where it belongs to one."""
        return reverse(self.url_name, args=[household_id] if self.is_of_household else [])


WORK_LIST = Destination("Work list", "rebalancer:work_list", "inbox")
HOUSEHOLDS = Destination("Households", "rebalancer:households", "users")
ORDERS = Destination("Orders", "rebalancer:orders", "orders")
EXECUTION = Destination("Execution", "rebalancer:execution", "activity")
CONTROLS = Destination("Controls", "rebalancer:controls", "shield")
RECONCILIATION = Destination("Reconciliation", "rebalancer:reconciliation", "balance")
BROKER = Destination("Broker", "rebalancer:broker", "link")
JOURNAL = Destination("Journal", "accounts:journal", "ledger")
PROOF = Destination("Proof of the journal", "accounts:journal_proof", "shield")
MODELS = Destination("Models", "portfolios:models", "layers")
POLICIES = Destination("Policies", "rebalancer:policies", "balance")
SECURITIES = Destination("Securities", "portfolios:securities", "tag")
ACTIONS = Destination("Corporate actions", "portfolios:actions", "calendar")
BREAKS = Destination("Differences", "portfolios:breaks", "flag")
PRICES = Destination("Prices", "portfolios:prices", "chart")
PEOPLE = Destination("People", "accounts:people", "users")
PROGRAMS = Destination("Programs", "accounts:tokens", "key")
SECRETS = Destination("Secrets", "accounts:secrets", "key")
DISCLOSURES = Destination("Texts for clients", "accounts:disclosures", "document")
SUPPORT = Destination("Support", "accounts:support", "lock")
ADMIN = Destination("Admin", "admin:index", "settings")
MARKET = Destination("Market", "rebalancer:market", "activity")
NAVIGATION = {
    "CLIENT": (
        Destination("Overview", "rebalancer:household", "home", is_of_household=True),
        Destination("Risk profile", "accounts:risk_profile", "sliders", is_of_household=True),
        Destination("Documents", "accounts:documents", "document", is_of_household=True),
        Destination("Activity", "accounts:journal", "clock"),
    ),
    "ADVISOR": (
        WORK_LIST,
        HOUSEHOLDS,
        ORDERS,
        EXECUTION,
        BREAKS,
        CONTROLS,
        MODELS,
        PRICES,
        JOURNAL,
    ),
    "SUPERVISOR": (
        WORK_LIST,
        HOUSEHOLDS,
        ORDERS,
        EXECUTION,
        BREAKS,
        RECONCILIATION,
        CONTROLS,
        MODELS,
        POLICIES,
        ACTIONS,
        PRICES,
        PEOPLE,
        DISCLOSURES,
        SUPPORT,
        SECRETS,
        JOURNAL,
        ADMIN,
    ),
    "MODEL_ADMIN": (MODELS, SECURITIES, POLICIES, JOURNAL),
    "ADMIN": (
        MODELS,
        POLICIES,
        CONTROLS,
        EXECUTION,
        RECONCILIATION,
        BROKER,
        SECURITIES,
        ACTIONS,
        PRICES,
        Destination("Import", "portfolios:import_positions", "upload"),
        PEOPLE,
        DISCLOSURES,
        PROGRAMS,
        JOURNAL,
        ADMIN,
    ),
    "OPERATOR": (CONTROLS, RECONCILIATION, BROKER, SUPPORT, HOUSEHOLDS, PROOF),
}
MARKET_MOVERS = ("ADVISOR", "SUPERVISOR", "ADMIN")


def deployment(request: HttpRequest) -> dict[str, Any]:
    """Return what the frame of a page shows.

    Firm and household come with the signed-in user (the sign-in backend sees to it), so this costs
    no query. Error pages may have no user at all.
    """
    user: Any = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"is_demo": settings.DEMO, "firm_name": "", "market_date": None, "navigation": []}
    moves_market = settings.DEMO and user.role in MARKET_MOVERS
    destinations = NAVIGATION.get(user.role, ()) + ((MARKET,) if moves_market else ())
    household_id = user.household.public_id if user.household_id else None
    return {
        "is_demo": settings.DEMO,
        "firm_name": user.firm.name,
        "market_date": user.firm.simulated_date,
        "navigation": _build_navigation(destinations, household_id, request.path),
        "demo_market_url": reverse(MARKET.url_name) if moves_market else "",
        # Asked for only by pages that have a frame to show it in.
        "look_only": lambda: _find_look_only(user.firm),
        "user_links": [
            {"label": "Security", "url": reverse("mfa_index"), "icon": "shield"},
            {"label": "Change password", "url": reverse("accounts:password"), "icon": "key"},
        ],
    }


def _find_look_only(firm: Any) -> Any:
    """Return the firm's stop after a restore from backup, or None while it may act."""
    stop = getattr(firm, "look_only", None)
    return stop if stop is not None and stop.is_on else None


def _build_navigation(
    destinations: tuple[Destination, ...], household_id: object, path: str
) -> list[dict[str, Any]]:
    entries = [
        {"label": one.label, "url": one.get_url(household_id), "icon": one.icon}
        for one in destinations
    ]
    # The longest address that the page's own begins with is where we are.
    matches = [entry["url"] for entry in entries if path.startswith(entry["url"])]
    current = max(matches, key=len, default=None)
    return [entry | {"is_current": entry["url"] == current} for entry in entries]
