"""`manage.py connect_broker`: send a firm's future orders to another broker."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.queries import people
from rebalancer.domain.kinds import BrokerKind
from rebalancer.operations.connections import connect_broker
from robo.common.errors import Refused


class Command(BaseCommand):
    help = (
        "Connects a firm to a broker. The key itself is one of the firm's secrets, which one admin"
        " sets and another person confirms; here only its name is given."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the firm, the broker, how to reach it, and the admin who decides."""
        parser.add_argument("--firm", required=True, help="name of the firm")
        parser.add_argument("--kind", required=True, choices=list(BrokerKind))
        parser.add_argument("--values", default="{}", help="JSON, without secrets")
        parser.add_argument("--secret", default="", help="name of the firm's secret with the key")
        parser.add_argument("--admin", required=True, help="e-mail address of the firm's admin")

    def handle(self, *args: Any, **options: Any) -> None:
        """Connect, or say why not."""
        firm = people.find_firm(options["firm"])
        if firm is None:
            raise CommandError(f"there is no firm {options['firm']!r}")
        admin = people.find_user(options["admin"])
        if admin is None:
            raise CommandError(f"nobody has the address {options['admin']!r}")
        try:
            values = json.loads(options["values"])
        except ValueError as error:
            raise CommandError(f"--values is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise CommandError("--values is a JSON object")
        try:
            connect_broker(
                firm_id=firm.pk,
                kind=BrokerKind(options["kind"]),
                connection_settings=values,
                secret_name=options["secret"],
                actor_id=admin.pk,
                through="manage.py connect_broker",
            )
        except Refused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{firm.name}: orders go to {options['kind']} from now on.")
