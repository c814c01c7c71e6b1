"""Whether a risk profile may still be acted on: its age, and contradictions nobody has settled."""

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any


@dataclass(frozen=True, slots=True)
class ProfileFacts:
    """What counts of a household's present profile."""

    answered_date: date
    contradictions: Sequence[Any]
    is_reviewed: bool


def add_months(day: date, months: int) -> date:
    """Return the same day so many months later, or the last of a shorter month."""
    years, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, month + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def find_profile_gap(
    profile: ProfileFacts | None, *, today: date, months_max: int, is_needed: bool
) -> str:
    """Return why no trades may be proposed, to go on after "it", or "" when they may."""
    if profile is None:
        words = "has no risk profile: its household has not answered the questions"
        return words if is_needed else ""
    if today > add_months(profile.answered_date, months_max):
        return (
            f"has a risk profile of {profile.answered_date:%d %B %Y}, more than {months_max} "
            "months old: its household must confirm it by answering again"
        )
    if profile.contradictions and not profile.is_reviewed:
        return (
            "has a risk profile whose answers contradict each other: its household answers again, "
            "or its advisor talks it over and notes what came of it"
        )
    return ""
