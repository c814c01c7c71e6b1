"""Reads about the doors: who has a second factor, which sessions are open, what waits for two."""

from collections.abc import Sequence

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.db.models import QuerySet

from accounts import models
from accounts.domain.doors import ResetStatus, describe_browser

FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


def has_second_factor(user_id: int) -> bool:
    """Return whether this person has an authenticator app or a passkey."""
    return bool(Authenticator.objects.filter(user_id=user_id, type__in=FACTORS).exists())


def count_passkeys(user_id: int) -> int:
    """Return how many passkeys this person has."""
    return int(Authenticator.objects.filter(user_id=user_id, type=FACTORS[1]).count())


def list_people_with_second_factor(user_ids: Sequence[int]) -> set[int]:
    """Return which of these people have an authenticator app or a passkey."""
    factors = Authenticator.objects.filter(user_id__in=user_ids, type__in=FACTORS)
    return set(factors.values_list("user_id", flat=True))


def list_sessions(user: "models.User") -> list[UserSession]:
    """Return the open sessions of a person, newest first, each with its `browser` in words.

    Those that have ended are dropped.
    """
    sessions: list[UserSession] = UserSession.objects.purge_and_list(user)
    for session in sessions:
        session.browser = describe_browser(session.user_agent)
    return sorted(sessions, key=lambda session: session.created_at, reverse=True)


def list_open_resets(firm_id: int) -> QuerySet["models.SecondFactorReset"]:
    """Return the resets of second factors that wait for a second person, the oldest first."""
    resets = models.SecondFactorReset.objects.filter(firm_id=firm_id, status=ResetStatus.ASKED)
    return resets.select_related("person", "asked_by").order_by("pk")
