"""Make two firms for checks from outside: everybody, everything in every state, and where it is."""

import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.domain.roles import Role
from accounts.queries import people
from portfolios.queries.models import list_models
from portfolios.queries.securities import list_model_securities
from rebalancer.management.review_firm import CANARY_B, CANARY_C, ReviewFirm
from rebalancer.management.review_life import ReviewLife
from rebalancer.queries import review
from robo.common import clock

TAG_LENGTH_MAX = 20


class Command(BaseCommand):
    help = (
        "Makes two firms for checks from outside, through operations only, and writes as JSON who"
        " signs in and what every row is called: password; canaries (texts that nobody of firm a,"
        " and nobody but client 2 and their advisors, may ever see); firms.a and firms.b with"
        " people (email, role, public_id, household, totp_secret), households, accounts, proposals,"
        " orders, blocks, switches and limits by state, policies, models, securities, breaks,"
        " corporate_actions, cash_needs, support_grants, tokens by scope, secrets. Run it where no"
        " worker runs: a worker moves on what waits."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take where the JSON goes, and what tells this run from another one."""
        parser.add_argument("--json", default="-", help="file to write, or - for the output")
        parser.add_argument("--tag", default="1", help="ends all names, so that several fit")
        parser.add_argument(
            "--quick",
            action="store_true",
            help="leave out the order whose outcome is unknown, which takes ten seconds",
        )
        parser.add_argument(
            "--force", action="store_true", help="also where real clients could be at home"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Make both firms, and say where everything is."""
        tag, now = options["tag"].lower(), clock.now()
        if not (settings.DEMO or settings.DEBUG or options["force"]):
            raise CommandError("this makes people whose password is written down: use --force")
        if not (tag.isalnum() and tag.isascii() and len(tag) <= TAG_LENGTH_MAX):
            raise CommandError(f"--tag is up to {TAG_LENGTH_MAX} letters and digits")
        password = f"keel-{secrets.token_urlsafe(15)}"
        firms = {
            "a": ReviewFirm("a", tag, password, now, mark="Alder", other_mark=CANARY_C),
            "b": ReviewFirm("b", tag, password, now, mark=CANARY_B, other_mark=CANARY_B),
        }
        for firm in firms.values():
            if people.find_firm(firm.name) is not None:
                raise CommandError(f"{firm.name} is there already: choose another --tag")
        with self.open_file(options["json"]) as file:
            made = self.make(list(firms.values()), is_quick=options["quick"])
            told = {
                "password": password,
                "canaries": {"other_firm": CANARY_B, "other_client": CANARY_C},
                "firms": made,
            }
            file.write(json.dumps(told, indent=2) + "\n")

    def make(self, firms: list[ReviewFirm], *, is_quick: bool) -> dict[str, Any]:
        """Make the firms; return what everything in them is called."""
        lives = [ReviewLife(firm) for firm in firms]
        for life in lives:
            life.firm.found()
            life.live()
            if settings.SECRETS_KEYS:
                life.keep_secrets()
        if not is_quick:
            lives[0].leave_unknown()
        for leave in (ReviewLife.leave_part, ReviewLife.leave_sent, ReviewLife.leave_approved):
            for life in lives:
                leave(life)
        return {life.firm.key: self.describe(life.firm) | life.named for life in lives}

    def describe(self, firm: ReviewFirm) -> dict[str, Any]:
        """Return the ids of everything that has one."""
        return {
            "public_id": firm.firm_public_id,
            "name": firm.name,
            "people": {
                who: {
                    "email": user.email,
                    "role": str(user.role),
                    "public_id": str(user.public_id),
                    "household": str(user.household.public_id) if user.household else None,
                    "totp_secret": self.give_second_factor(user),
                }
                for who, user in firm.people.items()
            },
            "households": {name: str(row.public_id) for name, row in firm.households.items()},
            "accounts": {
                name: str(people.get_account(pk).public_id) for name, pk in firm.accounts.items()
            },
            "proposals": review.list_proposals(firm.firm_id),
            "orders": review.list_orders(firm.firm_id),
            "blocks": review.list_blocks(firm.firm_id),
            "switches": review.list_switches(firm.firm_id),
            "limits": review.list_limit_sets(firm.firm_id),
            "policies": review.list_policies(firm.firm_id),
            "models": [str(row.public_id) for row in list_models(firm.firm_id)],
            "securities": {
                row.symbol: str(row.public_id) for row in list_model_securities(firm.firm_id)
            },
        }

    def give_second_factor(self, user: Any) -> str | None:
        """Set up an authenticator app for staff, where a second step is asked of them."""
        if user.role == Role.CLIENT or not settings.SECOND_FACTOR_REQUIRED:
            return None
        secret: str = generate_totp_secret()
        TOTP.activate(user, secret)
        return secret

    @contextmanager
    def open_file(self, name: str) -> Iterator[TextIO]:
        """Open what is written at the end; its owner alone can read the passwords in it."""
        if name == "-":
            yield sys.stdout
            return
        path = Path(name)
        try:
            place = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}") from error
        os.fchmod(place, 0o600)  # it may have been there before
        with os.fdopen(place, "w") as file:
            yield file
        self.stdout.write(f"Two firms are made; who and what they are is in {path}.")
