"""What the tests of the doors share: people with a second step, codes of their apps, browsers."""

import re
import time

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.people import PASSWORD

CODE_SECONDS = 30


def give_app(user: User) -> str:
    """Set up an authenticator app for this person, and return its key."""
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    return secret


def give_recovery_codes(user: User) -> list[str]:
    """Make recovery codes for this person, and return them."""
    return RecoveryCodes.activate(user).generate_codes()


def read_code(secret: str, *, steps_on: int = 0) -> str:
    """Return what an app with this key shows now, or so many half minutes later."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // CODE_SECONDS + steps_on))


def enter_password(client: Client, user: User, **extra: str) -> HttpResponse:
    """Give the first factor at the sign-in page."""
    return client.post(
        reverse("accounts:sign_in"), {"username": user.email, "password": PASSWORD, **extra}
    )


def enter_code(client: Client, code: str) -> HttpResponse:
    """Give the second factor of a sign-in that has begun."""
    return client.post(reverse("mfa_authenticate"), {"code": code})


def sign_in(user: User, secret: str = "") -> Client:
    """Return a browser in which this person signed in as people do."""
    client = Client()
    answer = enter_password(client, user)
    if secret:
        answer = enter_code(client, read_code(secret))
    assert answer.status_code == 302, answer.content
    assert is_signed_in(client)
    return client


def is_signed_in(client: Client) -> bool:
    """Return whether the browser holds a session that still counts."""
    return client.get(reverse("mfa_index")).status_code == 200


def set_up_app(client: Client) -> tuple[HttpResponse, str]:
    """Set up an app on the page for it; return the answer and the key."""
    page = client.get(reverse("mfa_activate_totp")).content.decode()
    secret = re.search(r'id="totp-secret"[^>]*value="([A-Z2-7=]+)"', page).group(1)
    return client.post(reverse("mfa_activate_totp"), {"code": read_code(secret)}), secret


def count_factors(user: User) -> int:
    """Return how many authenticators of any kind this person has."""
    return Authenticator.objects.filter(user=user).count()
