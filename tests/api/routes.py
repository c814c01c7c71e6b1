"""Every address of the API: what it takes, and what each person gets who calls it.

`OWN` is what each relation to the firm's own things answers; a route that is missing here fails
`test_access`.
"""

from dataclasses import dataclass
from typing import Any

from django.urls import get_resolver
from django.urls.resolvers import URLPattern, URLResolver

from rebalancer.api import CASE_SHOWN

RELATIONS = ("client", "advisor", "colleague", "unassigned", "other_client", "admin")
STRANGERS = ("stranger_client", "stranger_advisor", "stranger_admin")
# In the order of RELATIONS, then STRANGERS, then nobody at all.
EVERYBODY = (200,) * 9 + (401,)
# An admin knows a household by name and sees nothing of what is inside.
OF_PROFILE = (200, 200, 200, 404, 404, 200, 404, 404, 404, 401)
OF_HOUSEHOLD = (200, 200, 200, 404, 404, 404, 404, 404, 404, 401)
STAFF = (404, 200, 200, 200, 404, 200, 404, 200, 200, 401)
STAFF_OF_FIRM = (404, 200, 200, 200, 404, 200, 404, 404, 404, 401)
NOBODY = (404,) * 9 + (401,)
# None: the call changes things, and a test of its own makes it.
DECIDERS = (403, None, None, 404, 404, 404, 404, 404, 404, 401)
# Their own word, and nobody else's: a text that nobody wrote, trades under a mandate.
OWN_CONSENT = (409, 403, 403, 404, 404, 403, 404, 404, 404, 401)
OWN_ANSWER = (400, 403, 403, 404, 404, 404, 404, 404, 404, 401)
PRICERS = (404, 403, 403, 403, 404, None, 404, 403, None, 401)


@dataclass(frozen=True)
class Route:
    """One address with its methods; `answers` to GET, `write_answers` to POST."""

    address: str
    answers: tuple[int, ...] = ()
    write_answers: tuple[int | None, ...] = ()
    body: Any = None
    is_list: bool = False
    writer: str = "advisor"  # who may post there

    @property
    def methods(self) -> set[str]:
        """Return the methods that the address takes."""
        return {
            *(("get", "head") if self.answers else ()),
            *(("post",) if self.write_answers else ()),
        }


CASH = {"amount": "1.00"}
SEEN = {"content_hash": "0" * 64, "note": "no"}
ANSWER = {"answer": "YES", "content_hash": "0" * 64}
CONSENT = {"agree": [{"id": "00000000-0000-4000-8000-000000000000", "text_hash": "0" * 64}]}
ROUTES = {
    "me": Route("v1/me/", EVERYBODY),
    "households": Route("v1/households/", EVERYBODY, is_list=True),
    "household": Route("v1/households/{household}/", OF_PROFILE),
    "documents": Route(
        "v1/households/{household}/documents/", OF_PROFILE, OWN_CONSENT, CONSENT, writer="client"
    ),
    "accounts": Route("v1/accounts/", EVERYBODY, is_list=True),
    "account": Route("v1/accounts/{account}/", OF_HOUSEHOLD),
    "holdings": Route("v1/accounts/{account}/holdings/", OF_HOUSEHOLD),
    "checks": Route("v1/accounts/{account}/checks/", OF_HOUSEHOLD, DECIDERS, {}, is_list=True),
    "deposits": Route("v1/accounts/{account}/deposits/", (), DECIDERS, CASH),
    "withdrawals": Route("v1/accounts/{account}/withdrawals/", (), DECIDERS, CASH),
    "proposals": Route("v1/proposals/", EVERYBODY, is_list=True),
    "proposal": Route("v1/proposals/{proposal}/", OF_HOUSEHOLD),
    "approve": Route("v1/proposals/{proposal}/approve/", (), DECIDERS, SEEN),
    "reject": Route("v1/proposals/{proposal}/reject/", (), DECIDERS, SEEN),
    "remove_trades": Route("v1/proposals/{proposal}/remove-trades/", (), DECIDERS, {"trades": []}),
    "answer": Route("v1/proposals/{proposal}/answer/", (), OWN_ANSWER, ANSWER, writer="client"),
    "orders": Route("v1/orders/", EVERYBODY, is_list=True),
    # There is no order yet; `test_orders` cancels one.
    "cancel_order": Route(
        "v1/orders/{order}/cancel/", (), NOBODY, {"reason": "why"}, writer="supervisor"
    ),
    # Nothing is named, so nobody who may stop something stops anything.
    "switches": Route("v1/switches/", EVERYBODY, (400,) * 9 + (401,), {}, is_list=True),
    "limits": Route("v1/limits/", STAFF),
    "execution_costs": Route("v1/execution-costs/", STAFF, is_list=True),
    "solve": Route("v1/solve/", (), EVERYBODY, CASE_SHOWN),
    "prices": Route("v1/prices/", STAFF, PRICERS, [], is_list=True, writer="admin"),
    "price_history": Route("v1/prices/{symbol}/", STAFF_OF_FIRM, is_list=True),
    "models": Route("v1/models/", STAFF, is_list=True),
    "model": Route("v1/models/{model}/", STAFF_OF_FIRM),
    "nothing": Route("v1/nothing/of/the/kind/", NOBODY, NOBODY, {}),
    "schema": Route("schema/", EVERYBODY),
    "docs": Route("docs/", (200,) * 9 + (302,)),
}


def list_route_names() -> set[str]:
    """Return the names of all routes below /api/, from the addresses that Django serves."""

    def walk(patterns: list[Any], prefix: str) -> set[str]:
        names: set[str] = set()
        for pattern in patterns:
            address = prefix + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                names |= walk(pattern.url_patterns, address)
            elif isinstance(pattern, URLPattern) and address.startswith("api/"):
                names.add(pattern.name or address)
        return names

    return walk(get_resolver().url_patterns, "")
