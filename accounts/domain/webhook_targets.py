"""Where a webhook may go: which URLs may be written down, and which addresses may be called.

Both are asked: the URL when it is entered, the address each time that a name has been resolved, for
a name may lead somewhere else tomorrow.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

URL_LENGTH_MAX = 500
PORT = 443
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# A name with a letter in its last part: no address in any notation, decimal, octal or hexadecimal.
_HOST = re.compile(rf"(?=.{{4,253}}$)(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?")
_SIGNS = re.compile(r"https://[A-Za-z0-9.:/_~%!$&'()*+,;=?@\[\]-]+")
# IPv6 that carries an IPv4 address inside, by which a gateway would reach it.
_EMBEDDING = [ip_network(n) for n in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")]


class TargetRefused(ValueError):
    """Nothing may be sent there; the message says why, without more about our network."""


@dataclass(frozen=True, slots=True)
class Target:
    """A checked URL in its parts."""

    host: str
    port: int
    path: str


def read_target(url: str, *, allowed_hosts: Sequence[str]) -> Target:
    """Return the parts of a URL that webhooks may go to.

    A name in `allowed_hosts` allows that host; with a leading dot, all hosts below it.

    :raises TargetRefused: saying what is wrong with it.
    """
    if len(url) > URL_LENGTH_MAX or not _SIGNS.fullmatch(url):
        raise TargetRefused("Write an address that begins with https://, in plain letters.")
    try:
        parts = urlsplit(url)
        port = parts.port or PORT
    except ValueError:
        raise TargetRefused("This address cannot be read.") from None
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise TargetRefused("The address must not hold a user or password.")
    host = (parts.hostname or "").lower()
    if not _HOST.fullmatch(host):
        raise TargetRefused("The address must name a host, not an IP address.")
    if port != PORT:
        raise TargetRefused(f"Only port {PORT} may be called.")
    if not _is_allowed(host, allowed_hosts):
        raise TargetRefused(f"{host} is not among the hosts that may be told of events.")
    query = f"?{parts.query}" if parts.query else ""
    return Target(host, port, (parts.path or "/") + query)


def check_address(address: str) -> None:
    """Accept an address of the public internet.

    :raises TargetRefused: for every other: private, local, shared, reserved, multicast, or IPv6
        that leads to one of them.
    """
    try:
        place = ip_address(address.partition("%")[0])
    except ValueError:
        raise TargetRefused("The host leads to no address.") from None
    if not _is_public(place):
        raise TargetRefused("The host leads into a network that webhooks may not go to.")


def _is_public(place: IPv4Address | IPv6Address) -> bool:
    if isinstance(place, IPv6Address):
        if place.ipv4_mapped is not None:
            return _is_public(place.ipv4_mapped)
        # ::/96 held IPv4 addresses once; nothing public is there.
        if int(place) < 2**32 or any(place in network for network in _EMBEDDING):
            return False
        if place.is_site_local:
            return False
    return place.is_global and not place.is_multicast and not place.is_reserved


def _is_allowed(host: str, allowed_hosts: Sequence[str]) -> bool:
    return any(
        host.endswith(allowed.lower()) if allowed.startswith(".") else host == allowed.lower()
        for allowed in allowed_hosts
    )
