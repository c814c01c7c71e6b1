"""Slow down guessing of passwords: per e-mail and address, each further miss waits twice as long.

The counts live in the cache, which all web processes share. Without the cache people can still sign
in; that is logged, because guessing is then free.
"""

import hashlib
import logging
from datetime import datetime

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

FREE_ATTEMPTS = 5
FIRST_WAIT_SECONDS = 15
WAIT_SECONDS_MAX = 15 * 60
MEMORY_SECONDS = 60 * 60
CACHE_ERRORS = (RedisError, OSError)


def register_attempt(*, email: str, address: str, now: datetime) -> int:
    """Count an attempt to sign in; return how many seconds it must wait, 0 when it may go ahead.

    Counted before the password is looked at, so that parallel guesses cannot slip through.
    """
    key = _key(email, address)
    try:
        return _register(key, now)
    except CACHE_ERRORS:
        logger.exception("The cache is out of reach: attempts to sign in are not being slowed down")
        return 0


def forget_attempts(*, email: str, address: str) -> None:
    """Start counting anew, after the right password."""
    key = _key(email, address)
    try:
        cache.delete_many([f"{key}:count", f"{key}:wait"])
    except CACHE_ERRORS:
        logger.exception("The cache is out of reach: old attempts to sign in still count")


def get_address(request: HttpRequest) -> str:
    """Return where a request comes from; behind our own proxy, what the proxy says."""
    if settings.SECURE_PROXY_SSL_HEADER:
        # Only the last entry is the proxy's own word; the ones before it can be made up.
        forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        if forwarded:
            return forwarded
    return str(request.META.get("REMOTE_ADDR", ""))


def _register(key: str, now: datetime) -> int:
    seconds_left = _seconds_left(key, now)
    if seconds_left:
        return seconds_left
    count = _count(key)
    if count <= FREE_ATTEMPTS:
        return 0
    wait_seconds = min(
        FIRST_WAIT_SECONDS * 2 ** min(count - FREE_ATTEMPTS - 1, 20), WAIT_SECONDS_MAX
    )
    # The one that puts up the wait goes ahead; others at the same moment find it standing.
    until = now.timestamp() + wait_seconds
    if cache.add(f"{key}:wait", until, timeout=wait_seconds):
        return 0
    return _seconds_left(key, now) or 1


def _count(key: str) -> int:
    cache.add(f"{key}:count", 0, timeout=MEMORY_SECONDS)
    try:
        return cache.incr(f"{key}:count")
    except ValueError:  # it expired between the two lines
        return 1


def _seconds_left(key: str, now: datetime) -> int:
    until = cache.get(f"{key}:wait")
    return max(int(until - now.timestamp()) + 1, 1) if until else 0


def _key(email: str, address: str) -> str:
    # Hashed, because people's addresses are no business of whoever looks into the cache.
    told = f"{email.strip().lower()}\n{address}".encode(errors="replace")
    return f"sign-in:{hashlib.sha256(told).hexdigest()}"
