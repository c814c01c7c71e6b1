"""How many calls a minute: per credential and per firm, counted in Redis, in one step each.

A count that is read and then written would let parallel calls through; INCR with its expiry in one
script does not. Without Redis reads and writes go on uncounted (people must be able to work), and
what only costs us time to answer does not.
"""

import hashlib
import logging
from dataclasses import dataclass
from functools import lru_cache

import redis
from django.conf import settings
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

MINUTE_SECONDS = 60
FIRM_FACTOR = 5
REFUSALS_MAX = 30
REFUSALS_SECONDS = 15 * 60
RETRY_SECONDS = 5
CACHE_ERRORS = (RedisError, OSError)
# Returns the count with this one, and the milliseconds until counting begins anew.
_COUNT = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {count, redis.call('PTTL', KEYS[1])}
"""


@dataclass(frozen=True, slots=True)
class Budget:
    """A kind of calls: its name in `settings.API_BUDGETS`, and what happens without Redis."""

    name: str
    is_open_without_redis: bool = True

    @property
    def per_minute(self) -> int:
        """How many calls of this kind one credential has in a minute."""
        return int(settings.API_BUDGETS[self.name])


READS = Budget("read")
WRITES = Budget("write")
SOLVES = Budget("solve", is_open_without_redis=False)


def spend(budget: Budget, *, credential: str, firm_id: int) -> float:
    """Count a call; return how many seconds it must wait, 0 when it may go ahead."""
    limit = budget.per_minute
    try:
        wait = _count(f"{budget.name}:{credential}", limit, MINUTE_SECONDS)
        return wait or _count(f"{budget.name}:firm:{firm_id}", limit * FIRM_FACTOR, MINUTE_SECONDS)
    except CACHE_ERRORS:
        logger.warning("Redis is out of reach: calls of the API are not counted")
        return 0 if budget.is_open_without_redis else RETRY_SECONDS


def count_refusal(address: str) -> float | None:
    """Count a token that was not let in; return the seconds that this network must wait, mostly 0.

    None when nobody can count: then a wrong token must not be told from a right one that waits.
    """
    place = hashlib.sha256(address.encode()).hexdigest()[:32]
    try:
        return _count(f"refused:{place}", REFUSALS_MAX, REFUSALS_SECONDS)
    except CACHE_ERRORS:
        logger.warning("Redis is out of reach: refused tokens are not counted")
        return None


def _count(name: str, limit: int, seconds: int) -> float:
    answer = _client(settings.CACHES["default"]["LOCATION"]).eval(
        _COUNT, 1, f"api:{name}", str(seconds * 1000)
    )
    count, milliseconds_left = answer
    return max(int(milliseconds_left), 1) / 1000 if count > limit else 0


@lru_cache(maxsize=4)
def _client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
