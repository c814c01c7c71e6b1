"""What a service token may be allowed to do. A scope for approving does not exist, on purpose: a
yes to a trade is a person's.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from ipaddress import ip_address, ip_network

from accounts.domain.permissions import Permission

NETWORKS_MAX = 20


class Scope(StrEnum):
    """One right of a service token; what no scope names is refused."""

    READ_BOOKS = "read:books"
    READ_MODELS = "read:models"
    READ_PRICES = "read:prices"
    WRITE_PRICES = "write:prices"
    CREATE_PROPOSALS = "create:proposals"
    SOLVE = "solve"


SCOPE_WORDS = {
    Scope.READ_BOOKS: "Read households, accounts, holdings and checks",
    Scope.READ_MODELS: "Read model portfolios",
    Scope.READ_PRICES: "Read prices",
    Scope.WRITE_PRICES: "Record prices",
    Scope.CREATE_PROPOSALS: "Ask for a look at an account; proposals may follow",
    Scope.SOLVE: "Solve a household that is sent along",
}


# What a scope opens behind the door. Whoever asks for a look must be able to name the account; to
# read it takes the other scope, which the endpoint asks for.
PERMISSIONS_OF = {
    Scope.READ_BOOKS: (Permission.READ_HOLDINGS,),
    Scope.READ_MODELS: (Permission.READ_MODELS,),
    Scope.READ_PRICES: (Permission.READ_PRICES,),
    Scope.WRITE_PRICES: (Permission.WRITE_PRICES,),
    Scope.CREATE_PROPOSALS: (Permission.CREATE_PROPOSALS, Permission.READ_HOLDINGS),
    Scope.SOLVE: (),
}


class NetworkUnreadable(ValueError):
    """The text names no network; the message says which part."""


def list_permissions(scopes: Iterable[str]) -> frozenset[Permission]:
    """Return what these scopes open; the role of the engine limits it further."""
    return frozenset(held for scope in scopes for held in PERMISSIONS_OF[Scope(scope)])


def read_networks(text: str) -> list[str]:
    """Return the networks of a text, one in each word, in canonical form.

    :raises NetworkUnreadable: naming what is no network, or saying that there are too many.
    """
    words = text.replace(",", " ").split()
    if len(words) > NETWORKS_MAX:
        raise NetworkUnreadable(f"At most {NETWORKS_MAX} networks can be named.")
    networks = []
    for word in words:
        try:
            networks.append(str(ip_network(word)))
        except ValueError:
            raise NetworkUnreadable(
                f"{ascii(word[:60])} is no network such as 192.0.2.0/24 or 2001:db8::/32."
            ) from None
    return list(dict.fromkeys(networks))


def is_in_networks(address: str, networks: Sequence[str]) -> bool:
    """Return whether an address lies in one of the networks; without networks every one does."""
    if not networks:
        return True
    try:
        place = ip_address(address)
    except ValueError:
        return False
    # ::ffff:192.0.2.1 is 192.0.2.1 by another name.
    place = getattr(place, "ipv4_mapped", None) or place
    return any(place in ip_network(network) for network in networks)
