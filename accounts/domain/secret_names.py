"""Which secrets a firm may keep with us, and the states of a change of one."""

import re
from enum import StrEnum

SECRET_LENGTH_MAX = 4000
# A connection to a broker names its secrets itself: "broker.alpaca.key_id".
SECRET_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}(\.[a-z][a-z0-9_]{0,30}){0,3}")


class SecretStatus(StrEnum):
    """Where a new value stands: a second person makes it the one in use."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    REPLACED = "REPLACED"
    REFUSED = "REFUSED"


def is_secret_name(name: str) -> bool:
    """Return whether a text may name a secret: words of small letters, joined by dots."""
    return len(name) <= 80 and SECRET_NAME.fullmatch(name) is not None
