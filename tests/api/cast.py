"""A firm at work with one person of every relation to it, and the API called as each of them."""

import json
import uuid
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.http import HttpResponse
from django.test import Client

from accounts.domain.roles import Role
from accounts.models import Account, User
from portfolios.models import ModelPortfolio
from rebalancer import models
from tests import people
from tests.market import make_security
from tests.rebalancer.world import World, make_world

OLD = date(2020, 1, 2)
CANARY = "CANARY"
HEAVY = [("USTM", "80", "4000", OLD), ("BOND", "10", "900", OLD)]
V1 = "/api/v1/"


@dataclass
class Cast:
    """A firm with a proposal that waits, and its people by their relation to that."""

    world: World
    account: Account
    proposal: models.Proposal
    model: ModelPortfolio
    symbol: str
    people: dict[str, User] = field(default_factory=dict)
    order_id: str = field(default_factory=lambda: str(uuid.uuid4()))  # of no order at first

    def make_order(self) -> models.Order:
        """Approve the proposal; `keys` name the first of its orders from then on."""
        self.world.approve(self.proposal)
        order = models.Order.objects.filter(proposal=self.proposal).order_by("pk")[0]
        self.order_id = str(order.public_id)
        return order

    def get_writer(self, name: str) -> User:
        """Return who may post to a route: one of the people, or somebody new of that role."""
        return self.people.get(name) or people.make_user(self.world.firm, Role(name.upper()))

    @property
    def keys(self) -> dict[str, str]:
        """Return what the addresses of this firm's things are made of."""
        return {
            "household": str(self.world.household.public_id),
            "account": str(self.account.public_id),
            "proposal": str(self.proposal.public_id),
            "order": self.order_id,
            "model": str(self.model.public_id),
            "symbol": self.symbol,
        }


def make_cast(mark: str = "") -> Cast:
    """Return a firm whose one account wants trades; `mark` is in the name of what is new."""
    world = make_world(name=mark)
    symbol = f"OURS{mark}"
    make_security(world.admin, symbol, code="us-equity")
    account = world.add_account("1000", lots=HEAVY)
    world.look()
    proposal = models.Proposal.objects.get(account=account)
    cast = Cast(world, account, proposal, ModelPortfolio.objects.get(pk=world.model_id), symbol)
    cast.people = {
        "client": people.make_client(world.household),
        "advisor": world.advisor,
        "colleague": world.colleague,
        "unassigned": people.make_user(world.firm),
        "other_client": people.make_client(people.make_household(world.firm)),
        "admin": world.admin,
    }
    return cast


def mark_texts(cast: Cast) -> None:
    """Write the canary into every name that an answer could carry."""
    firm = cast.world.firm
    User.objects.filter(firm=firm).update(name=f"{CANARY} person")
    Account.objects.filter(firm=firm).update(name=f"{CANARY} account", custodian=CANARY)
    ModelPortfolio.objects.filter(firm=firm).update(name=f"{CANARY} model", description=CANARY)
    models.Policy.objects.filter(firm=firm).update(name=f"{CANARY} policy")
    for household in firm.households.all():
        household.name = f"{CANARY} {household.pk}"
        household.save()


class Caller(Client):
    """A program that sends a new Idempotency-Key with whatever it posts, unless told another."""

    def post(self, path: str, *args: Any, **options: Any) -> Any:
        """Post with a key of its own."""
        headers = {"Idempotency-Key": str(uuid.uuid4())} | dict(options.pop("headers", None) or {})
        sent = {name: value for name, value in headers.items() if value is not None}
        return super().post(path, *args, headers=sent, **options)


def sign_in(user: User | None, **options: Any) -> Client:
    """Return a program in which this person, or nobody, is signed in."""
    client = Caller(**options)
    if user is not None:
        people.enter(client, user)
    return client


def post(client: Client, address: str, body: Any, **options: Any) -> HttpResponse:
    """Send JSON; a string goes out as it is."""
    text = body if isinstance(body, (str, bytes)) else json.dumps(body)
    return client.post(V1 + address, text, content_type="application/json", **options)


def approve(client: Client, proposal: models.Proposal, **changes: Any) -> HttpResponse:
    """Approve what is on record, or send something else."""
    body = {"content_hash": proposal.content_hash, "note": "", **changes}
    return post(client, f"proposals/{proposal.public_id}/approve/", body)


def read_errors(response: Any) -> list[tuple[str, str | None]]:
    """Return (code, field) of each error; the body must have the one shape of all errors."""
    body = response.json()
    assert body["type"] in ("validation_error", "client_error"), body
    assert all(set(error) == {"code", "detail", "attr"} for error in body["errors"])
    return [(error["code"], error["attr"]) for error in body["errors"]]
