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


JOURNAL = Destination("Journal", "accounts:journal", "ledger")
MODELS = Destination("Models", "portfolios:models", "layers")
IMPORT = Destination("Import", "portfolios:import_positions", "upload")
MARKET = Destination("Market", "rebalancer:market", "activity")
NAVIGATION = {
    "CLIENT": (
        Destination("Overview", "rebalancer:household", "home", is_of_household=True),
        Destination("Risk profile", "accounts:risk_profile", "sliders", is_of_household=True),
        Destination("Activity", "accounts:journal", "clock"),
    ),
    "ADVISOR": (
        Destination("Work list", "rebalancer:work_list", "inbox"),
        Destination("Households", "rebalancer:households", "users"),
        Destination("Orders", "rebalancer:orders", "orders"),
        MODELS,
        IMPORT,
        JOURNAL,
    ),
    "ADMIN": (
        Destination("Overview", "rebalancer:work_list", "home"),
        MODELS,
        Destination("Policies", "rebalancer:policies", "balance"),
        Destination("Securities", "portfolios:securities", "tag"),
        Destination("Prices", "portfolios:prices", "chart"),
        IMPORT,
        Destination("People", "accounts:people", "users"),
        JOURNAL,
        Destination("Admin", "admin:index", "settings"),
    ),
}
MARKET_MOVERS = ("ADVISOR", "ADMIN")


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
        "user_links": [
            {"label": "Change password", "url": reverse("accounts:password"), "icon": "key"}
        ],
    }


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
