"""Slow down guessing at every door: per person and network, each further miss waits twice as long.

Somebody else's misses lock nobody out: another network counts for itself, and no wait is for ever.
"""

import ipaddress

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.crypto import salted_hmac

from accounts.domain.doors import FREE_ATTEMPTS_OF_A_NETWORK, WAIT_SECONDS_MAX_OF_A_NETWORK
from accounts.operations.throttling import Wait, forget_attempts, register_attempt
from robo.common import clock

ANYBODY = "*"
IPV6_PREFIX = 64  # what one customer gets; its owner can change the rest at will
UNKNOWN_ADDRESS = "::"


def register(request: HttpRequest, *, door: str, who: str) -> Wait:
    """Count an attempt at a door; return the wait that stands before it, if any."""
    now, network = clock.now(), get_network(request)
    wait = register_attempt(key=_key(door, who, network), now=now)
    if wait.seconds:
        return wait
    # Many people tried from one place: the wait is short, for a whole office may share it.
    return register_attempt(
        key=_key(door, ANYBODY, network),
        now=now,
        free=FREE_ATTEMPTS_OF_A_NETWORK,
        wait_seconds_max=WAIT_SECONDS_MAX_OF_A_NETWORK,
    )


def forget(request: HttpRequest, *, door: str, who: str) -> None:
    """Start counting anew for this person and network, after a success."""
    forget_attempts(key=_key(door, who, get_network(request)))


def refuse(request: HttpRequest, wait: Wait) -> HttpResponse:
    """Answer that it is too early to try again."""
    context = {"wait": describe_wait(wait.seconds)}
    response = render(request, "429.html", context, status=429)
    response["Retry-After"] = str(wait.seconds)
    return response


def describe_wait(seconds: int) -> str:
    """Return a wait in words."""
    if seconds < 60:
        return f"{seconds} seconds"
    minutes = -(-seconds // 60)
    return "a minute" if minutes == 1 else f"{minutes} minutes"


def get_address(request: HttpRequest) -> str:
    """Return where a request comes from; behind our own proxy, what the proxy says."""
    if settings.SECURE_PROXY_SSL_HEADER:
        # Only the last entry is the proxy's own word; the ones before it can be made up.
        forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        if forwarded:
            return forwarded
    return str(request.META.get("REMOTE_ADDR", ""))


def get_network(request: HttpRequest) -> str:
    """Return the network that a request comes from: an IPv4 address, or an IPv6 prefix."""
    address = get_address(request)
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv6Address):
        mapped = known.ipv4_mapped
        if mapped is not None:
            return str(mapped)
        return str(ipaddress.ip_network((known, IPV6_PREFIX), strict=False))
    return str(known)


def _key(door: str, who: str, network: str) -> str:
    # Hashed, because people's addresses are no business of whoever looks into the table.
    told = f"{door}\n{who.strip().lower()}\n{network}".encode(errors="replace").decode()
    return salted_hmac("accounts.throttle", told, algorithm="sha256").hexdigest()
