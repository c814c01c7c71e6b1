"""Encrypts what must not be readable from the database alone, with keys from outside it.

The first key of `settings.SECRETS_KEYS` encrypts, every one decrypts, so a key can be replaced
while old rows are still about. What is encrypted is bound to its place: moved to another row it is
refused.
"""

import json
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from robo.common.errors import Refused


class SecretsKeyMissing(Refused):
    """There is no key to encrypt or decrypt with."""


class SecretUnreadable(Exception):
    """A stored secret cannot be decrypted with our keys, or was put in another's place."""


def seal(text: str, *, place: str) -> str:
    """Return the text encrypted, readable only for the same place.

    :raises SecretsKeyMissing: when no key is configured.
    """
    inside = json.dumps({"place": place, "text": text})
    return _get_box().encrypt(inside.encode()).decode()


def unseal(sealed: str, *, place: str) -> str:
    """Return what was sealed for this place.

    :raises SecretsKeyMissing: when no key is configured.
    :raises SecretUnreadable: when none of our keys fits, or it was sealed for another place.
    """
    try:
        inside = json.loads(_get_box().decrypt(sealed.encode()))
    except InvalidToken:
        raise SecretUnreadable("None of our keys opens this secret.") from None
    if inside["place"] != place:
        raise SecretUnreadable("This secret was sealed for another place.")
    return str(inside["text"])


def reseal(sealed: str) -> str:
    """Return the same secret, encrypted with the first of our keys.

    :raises SecretsKeyMissing: when no key is configured.
    :raises SecretUnreadable: when none of our keys fits.
    """
    try:
        return _get_box().rotate(sealed.encode()).decode()
    except InvalidToken:
        raise SecretUnreadable("None of our keys opens this secret.") from None


def find_key_faults(keys: Sequence[str]) -> list[str]:
    """Return what is wrong with configured keys, in sentences that do not repeat them."""
    faults = []
    for number, key in enumerate(keys, start=1):
        try:
            Fernet(key)
        except ValueError:
            faults.append(f"Key {number} of EVENKEEL_SECRETS_KEY is not 32 bytes in base64.")
    return faults


def _get_box() -> MultiFernet:
    keys: Sequence[str] = settings.SECRETS_KEYS
    if not keys or find_key_faults(keys):
        raise SecretsKeyMissing(
            "This installation has no key to encrypt secrets with: set EVENKEEL_SECRETS_KEY."
        )
    return MultiFernet([Fernet(key) for key in keys])
