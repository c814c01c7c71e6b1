"""Words and figures of the doors: how long guessers wait, and when a sign-in is fresh."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from accounts.domain.roles import Role

STAFF = frozenset({Role.ADVISOR, Role.SUPERVISOR, Role.MODEL_ADMIN, Role.ADMIN, Role.OPERATOR})
SECOND_FACTOR = "mfa"  # how the sign-in library names it in its records
CLOCK_SLACK_SECONDS = 60

FREE_ATTEMPTS = 5
# Far more than one office mistypes in an hour, far fewer than trying a list of people needs.
FREE_ATTEMPTS_OF_A_NETWORK = 200
FIRST_WAIT_SECONDS = 15
WAIT_SECONDS_MAX = 15 * 60
# Everybody in an office shares this wait, so it stays short.
WAIT_SECONDS_MAX_OF_A_NETWORK = 30
MEMORY_SECONDS = 60 * 60


class MailKind(StrEnum):
    """What a mail is about; its text is templates/mail/<kind in lower case>.txt."""

    PASSWORD_LINK = "PASSWORD_LINK"  # noqa: S105
    PASSWORD_CHANGED = "PASSWORD_CHANGED"  # noqa: S105
    LINK_MADE = "LINK_MADE"
    ADDRESS_CHANGED = "ADDRESS_CHANGED"
    SECOND_FACTOR_CHANGED = "SECOND_FACTOR_CHANGED"
    SECOND_FACTOR_RESET = "SECOND_FACTOR_RESET"
    RECOVERY_CODE_USED = "RECOVERY_CODE_USED"
    INVITATION = "INVITATION"
    ANSWER_WANTED = "ANSWER_WANTED"
    TRADES_DONE = "TRADES_DONE"
    DOCUMENT_CHANGED = "DOCUMENT_CHANGED"
    TRADING_STOPPED = "TRADING_STOPPED"
    TRADING_RESUMED = "TRADING_RESUMED"
    BREAK_OPENED = "BREAK_OPENED"
    MANDATE_RECORDED = "MANDATE_RECORDED"
    MANDATE_ENDED = "MANDATE_ENDED"


class ResetStatus(StrEnum):
    """ASKED > DONE | WITHDRAWN."""

    ASKED = "ASKED"
    DONE = "DONE"
    WITHDRAWN = "WITHDRAWN"


def measure_wait_seconds(count: int, *, free: int, seconds_max: int) -> int:
    """Return how long the next attempt waits after this many; each further one twice as long."""
    if count <= free:
        return 0
    doublings = min(count - free - 1, 20)
    return min(FIRST_WAIT_SECONDS << doublings, seconds_max)


def check_fresh(
    records: Iterable[Mapping[str, Any]],
    *,
    now_seconds: float,
    seconds_max: float,
    needs_second_factor: bool,
) -> bool:
    """Return whether a record of the session proves recently enough who is there.

    With a second factor set up only a proof by it counts: a password alone can be stolen.
    """
    return any(
        -CLOCK_SLACK_SECONDS <= now_seconds - record["at"] < seconds_max
        for record in records
        if not needs_second_factor or record.get("method") == SECOND_FACTOR
    )


# The order matters: browsers name their ancestors as well.
BROWSERS = ("Edg", "OPR", "Firefox", "Chrome", "Safari")
BROWSER_WORDS = {"Edg": "Edge", "OPR": "Opera"}
SYSTEMS = ("iPhone", "iPad", "Android", "Windows", "Mac OS", "Linux")
SYSTEM_WORDS = {"Mac OS": "a Mac", "iPhone": "an iPhone", "iPad": "an iPad"}


def describe_browser(user_agent: str) -> str:
    """Return in words what a browser says it is; it may say anything."""
    browser = next((name for name in BROWSERS if name in user_agent), "")
    system = next((name for name in SYSTEMS if name in user_agent), "")
    if not browser:
        return user_agent[:60] or "An unknown program"
    words = BROWSER_WORDS.get(browser, browser)
    return f"{words} on {SYSTEM_WORDS.get(system, system)}" if system else words
