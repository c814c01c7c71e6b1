"""What the sign-in library asks of us: who comes in, what is written down, how keys are kept."""

import ipaddress
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.access import PeopleBackend
from accounts.operations import sign_ins
from accounts.queries.doors import count_passkeys, has_second_factor
from accounts.views import security, step_up, throttle
from robo.common import tenancy
from robo.common.secrets import seal, unseal

PLACE = "second factor"
PASSWORD_METHOD = "reauthenticate"  # noqa: S105


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Signs in those whom the firm invited, and nobody else."""

    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": "E-mail and password do not match.",
        "incorrect_password": "That is not your password.",
        "incorrect_code": "That does not fit, or was used before.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Return that people are invited; nobody signs up."""
        return False

    def pre_login(self, request: HttpRequest, user: Any, **facts: Any) -> HttpResponse | None:
        """Turn away who may not sign in, whichever way they came."""
        if not PeopleBackend().user_can_authenticate(user):
            return self.respond_user_inactive(request, user)
        return None

    def respond_user_inactive(self, request: HttpRequest, user: Any) -> HttpResponse:
        """Say what a wrong password is told as well."""
        messages.error(request, self.error_messages["email_password_mismatch"])
        return redirect("accounts:sign_in")

    def login(self, request: HttpRequest, user: Any) -> None:
        """Begin a session of a new key, and write the journal."""
        if not PeopleBackend().user_can_authenticate(user):  # shut out between the two steps
            raise ImmediateHttpResponse(self.respond_user_inactive(request, user))
        # For good, not for a moment: the rest of the request asks for the person's household.
        tenancy.enter_firm(user.firm_id)
        with transaction.atomic():
            super().login(request, user)
            security.begin_session(request)
            records = get_authentication_records(request, user)
            sign_ins.record_sign_in(user_id=user.pk, method=security.describe_proofs(records))

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """Write down a pair that did not match."""
        sign_ins.record_failure(
            email=str(credentials.get("email", "")),
            event="password_failed",
            words="A password for {name} did not match",
            network=throttle.get_network(request),
        )

    def is_reauthentication_required(self, *, app: str, **facts: Any) -> bool:
        """Return whether the library's own pages must ask again; a fresh sign-in is enough."""
        return not step_up.is_fresh(self.request)

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """Return the ways to prove who one is; with a second factor, a password is none of them."""
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        if user.is_authenticated and has_second_factor(user.pk):
            methods = [method for method in methods if method["id"] != PASSWORD_METHOD]
        return methods

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the address that a session is listed with."""
        address = throttle.get_address(request)
        try:
            return str(ipaddress.ip_address(address))
        except ValueError:  # a proxy's socket has no address
            return throttle.UNKNOWN_ADDRESS

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send nothing: our own operations queue every mail."""


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Keeps the secrets of second factors encrypted, with a key from outside the database."""

    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": "That does not fit, or was used before.",
    }

    def encrypt(self, text: str) -> str:
        """Return a secret as it is stored."""
        return seal(text, place=PLACE)

    def decrypt(self, encrypted_text: str) -> str:
        """Return a stored secret."""
        return unseal(encrypted_text, place=PLACE)

    def generate_authenticator_name(self, user: Any, type: Any) -> str:
        """Return what a passkey is called unless its owner names it."""
        number = count_passkeys(user.pk) + 1
        return "Passkey" if number == 1 else f"Passkey {number}"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Return for which site a passkey is made."""
        entity: dict[str, str] = super().get_public_key_credential_rp_entity()
        return entity | {"name": "Evenkeel"}
