"""What page tests share: a firm with something to decide, its people, and their browsers."""

from dataclasses import dataclass
from datetime import date

from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from accounts.domain.roles import Role
from accounts.models import Account, User
from rebalancer.models import Proposal
from tests import people
from tests.rebalancer.world import World, make_world

OLD, RECENT = date(2020, 1, 2), date(2026, 9, 1)
# Far too many US shares, bought in two lots: one long-term gain, one short-term loss.
DRIFTED_LOTS = [
    ("USTM", "80", "4000", OLD),
    ("USTM", "10", "1200", RECENT),
    ("BOND", "10", "900", OLD),
]


@dataclass
class Scene:
    """A firm with a drifted account and a proposal for it, and a stranger from another firm."""

    world: World
    account: Account
    proposal: Proposal
    client: User
    stranger: User
    other_client: User

    def people(self) -> dict[str, User]:
        """Return one person for each relation to the household."""
        return {
            "client": self.client,
            "advisor": self.world.advisor,
            "admin": self.world.admin,
            "supervisor": people.make_user(self.world.firm, Role.SUPERVISOR),
            "model admin": people.make_user(self.world.firm, Role.MODEL_ADMIN),
            "operator": people.make_user(self.world.firm, Role.OPERATOR),
            "unassigned": people.make_user(self.world.firm),
            "other client": self.other_client,
            "other firm": self.stranger,
        }


def make_scene(**policy_terms: object) -> Scene:
    """Return a firm at the moment when one proposal waits for a decision."""
    world = make_world(**policy_terms)
    account = world.add_account("1000", lots=DRIFTED_LOTS, name="Joint account")
    world.look()
    elsewhere = people.make_firm()
    return Scene(
        world=world,
        account=account,
        proposal=account.proposals.get(),
        client=people.make_client(world.household),
        stranger=people.make_user(elsewhere, Role.ADMIN),
        other_client=people.make_client(people.make_household(world.firm)),
    )


def browser(user: User) -> Client:
    """Return a browser in which `user` is signed in."""
    client = Client()
    people.enter(client, user)
    return client


def get(user: User, name: str, /, *args: object, **query: str) -> HttpResponse:
    """Return the page of this name as `user` gets it."""
    return browser(user).get(reverse(f"rebalancer:{name}", args=args), query)


def post(user: User, name: str, /, *args: object, **values: object) -> HttpResponse:
    """Return the answer to what `user` sends there."""
    return browser(user).post(reverse(f"rebalancer:{name}", args=args), values)


def text_of(response: HttpResponse) -> str:
    """Return a page as text with its white space folded."""
    return " ".join(response.content.decode().split())
