"""Encrypt every stored secret anew with the first of the configured keys."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.operations.secrets import rotate_secrets
from robo.common.secrets import SecretsKeyMissing, SecretUnreadable


class Command(BaseCommand):
    """Rotate the key that secrets are encrypted with."""

    help = (
        "Encrypt every stored secret anew with the first key of EVENKEEL_SECRETS_KEY. Put the new "
        "key in front of the old one and restart; run this; then drop the old key and restart."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, all or nothing."""
        try:
            count = rotate_secrets()
        except (SecretsKeyMissing, SecretUnreadable) as error:
            raise CommandError(f"Nothing was changed. {error}") from None
        self.stdout.write(f"{count} secrets are encrypted with the first key now.")
