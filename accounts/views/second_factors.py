"""One's own second step: set up, taken away, proved again; and the reset of somebody's lost one."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from allauth.account.authentication import (
    AUTHENTICATION_METHODS_SESSION_KEY,
    get_authentication_records,
)
from allauth.account.internal.flows.reauthentication import STATE_SESSION_KEY
from allauth.account.views import ReauthenticateView
from allauth.mfa.base.internal.flows import post_authentication
from allauth.mfa.base.views import IndexView
from allauth.mfa.base.views import ReauthenticateView as ReauthenticateByCodeView
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.views import GenerateRecoveryCodesView
from allauth.mfa.totp.views import ActivateTOTPView, DeactivateTOTPView
from allauth.mfa.webauthn.views import (
    AddWebAuthnView,
    ReauthenticateWebAuthnView,
    RemoveWebAuthnView,
)
from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import get_signed_in_user, get_user_for, require_permission
from accounts.domain.doors import SECOND_FACTOR, STAFF
from accounts.domain.permissions import Permission
from accounts.forms.doors import ResetForm
from accounts.operations import second_factors, sign_ins
from accounts.queries.doors import has_second_factor, list_open_resets
from accounts.views import throttle
from accounts.views.security import keep_session, rotate_session
from accounts.views.signing_in import CODE_DOOR, PASSWORD_DOOR
from accounts.views.step_up import require_fresh_sign_in
from robo.common import clock
from robo.common.errors import Refused

TOTP, WEBAUTHN = Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN
RECOVERY_CODES = Authenticator.Type.RECOVERY_CODES


def _settle(request: HttpRequest, kind: str, *, is_gone: bool = False) -> None:
    """Write down a change, end the other sessions, and take a new factor as proved just now."""
    user = second_factors.settle_change(
        user_id=get_signed_in_user(request).pk, kind=kind, is_gone=is_gone, now=clock.now()
    )
    keep_session(request, user)
    if kind in (TOTP, WEBAUTHN) and not is_gone:
        factor = Authenticator.objects.filter(user=user, type=kind).latest("pk")
        factor.user = user
        post_authentication(request, factor, reauthenticated=True)
    elif not has_second_factor(user.pk):
        # What the removed one proved is not proved any more.
        records = get_authentication_records(request, user)
        request.session[AUTHENTICATION_METHODS_SESSION_KEY] = [
            record for record in records if record.get("method") != SECOND_FACTOR
        ]


class _Change:
    """What every change of one's second step has in common: all of it, or nothing."""

    kind = ""
    is_gone = False
    request: HttpRequest

    def form_valid(self, form: Any) -> HttpResponse:
        """Change it, write the journal and end the other sessions, in one transaction."""
        try:
            with transaction.atomic():
                answer: HttpResponse = super().form_valid(form)  # type: ignore[misc]
                _settle(self.request, self.kind, is_gone=self.is_gone)
        except Refused as refusal:
            form.add_error(None, str(refusal))
            return self.form_invalid(form)
        return answer

    def form_invalid(self, form: Any) -> HttpResponse:
        """Show the page again, with what was wrong."""
        answer: HttpResponse = super().form_invalid(form)  # type: ignore[misc]
        answer.status_code = 422
        return answer


class Security(IndexView):  # type: ignore[misc]
    """One's own ways to sign in; the page where staff without a second step land."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return what the page shows."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        is_staff = get_signed_in_user(self.request).role in STAFF
        return context | {"needs_second_step": settings.SECOND_FACTOR_REQUIRED and is_staff}


class SetUpApp(_Change, ActivateTOTPView):  # type: ignore[misc]
    """Set up an authenticator app."""

    kind = TOTP


class RemoveApp(_Change, DeactivateTOTPView):  # type: ignore[misc]
    """Remove the authenticator app."""

    kind, is_gone = TOTP, True


class AddPasskey(_Change, AddWebAuthnView):  # type: ignore[misc]
    """Add a passkey."""

    kind = WEBAUTHN


class RemovePasskey(_Change, RemoveWebAuthnView):  # type: ignore[misc]
    """Remove a passkey."""

    kind, is_gone = WEBAUTHN, True


class NewRecoveryCodes(_Change, GenerateRecoveryCodesView):  # type: ignore[misc]
    """Make new recovery codes; the old ones are worth nothing from then on."""

    kind = RECOVERY_CODES


# --- Proving it again -------------------------------------------------------------------------


class _StepUp:
    """What every way to confirm who one is has in common."""

    door = CODE_DOOR
    method = ""
    request: HttpRequest

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Try what was sent, unless too much was tried before."""
        wait = throttle.register(request, door=self.door, who=self._who())
        if wait.seconds:
            return throttle.refuse(request, wait)
        answer: HttpResponse = super().post(request, *args, **kwargs)  # type: ignore[misc]
        return answer

    def form_valid(self, form: Any) -> HttpResponse:
        """Go back to where the question came up, with a session of a new key."""
        # The library would repeat what was posted before; people do that themselves, and look.
        self.request.session.pop(STATE_SESSION_KEY, None)
        answer: HttpResponse = super().form_valid(form)  # type: ignore[misc]
        rotate_session(self.request)
        throttle.forget(self.request, door=self.door, who=self._who())
        sign_ins.record_step_up(user_id=self._user_id(), method=self.method)
        return answer

    def form_invalid(self, form: Any) -> HttpResponse:
        """Show the page again."""
        answer: HttpResponse = self.render_to_response(  # type: ignore[attr-defined]
            self.get_context_data(form=form)  # type: ignore[attr-defined]
        )
        answer.status_code = 422
        return answer

    def _user_id(self) -> int:
        return get_signed_in_user(self.request).pk

    def _who(self) -> str:
        return str(self._user_id())


class _StepUpBySecondFactor(_StepUp):
    def form_invalid(self, form: Any) -> HttpResponse:
        """Write down the miss, and show the page again."""
        network = throttle.get_network(self.request)
        sign_ins.record_failed_code(user_id=self._user_id(), network=network)
        return super().form_invalid(form)


class StepUpByPassword(_StepUp, ReauthenticateView):  # type: ignore[misc]
    """Confirm who one is by password; only for people without a second step."""

    door, method = PASSWORD_DOOR, "password"

    def _who(self) -> str:
        return get_signed_in_user(self.request).email


class StepUpByCode(_StepUpBySecondFactor, ReauthenticateByCodeView):  # type: ignore[misc]
    """Confirm who one is by a code of the app, or a recovery code."""

    method = "a code"


class StepUpByPasskey(_StepUpBySecondFactor, ReauthenticateWebAuthnView):  # type: ignore[misc]
    """Confirm who one is by a passkey."""

    method = "a passkey"


# --- Somebody's lost one ----------------------------------------------------------------------


@require_permission(Permission.WRITE_USERS)
@require_fresh_sign_in
def reset_ask(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Ask that somebody's lost second step be removed; a second person confirms it."""
    admin = get_signed_in_user(request)
    person = get_user_for(admin, public_id)
    form = ResetForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            second_factors.ask_for_reset(
                user_id=person.pk, reason=form.cleaned_data["reason"], actor_id=admin.pk
            )
        except Refused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, "Asked. Now another administrator or supervisor confirms it.")
            return redirect("accounts:resets")
    context = {"form": form, "person": person}
    status = 422 if form.is_bound and form.errors else 200
    return render(request, "accounts/second_factor_reset.html", context, status=status)


@require_permission(Permission.READ_USERS)
@require_safe
def resets(request: HttpRequest) -> HttpResponse:
    """List the resets that wait for a second person."""
    rows = list_open_resets(get_signed_in_user(request).firm_id)
    return render(request, "accounts/second_factor_resets.html", {"resets": rows})


@require_permission(Permission.READ_USERS)
@require_POST
@require_fresh_sign_in
def reset_confirm(request: HttpRequest, reset_id: int) -> HttpResponse:
    """Remove the second step, as the second person."""
    actor_id = get_signed_in_user(request).pk
    return _act(
        request,
        reset_id,
        lambda: second_factors.confirm_reset(reset_id=reset_id, actor_id=actor_id, now=clock.now()),
        "Removed. They got a notice, and set up another one when they sign in.",
    )


@require_permission(Permission.READ_USERS)
@require_POST
@require_fresh_sign_in
def reset_withdraw(request: HttpRequest, reset_id: int) -> HttpResponse:
    """Drop a request for a reset."""
    actor_id = get_signed_in_user(request).pk
    return _act(
        request,
        reset_id,
        lambda: second_factors.withdraw_reset(
            reset_id=reset_id, actor_id=actor_id, now=clock.now()
        ),
        "Withdrawn. Nothing was removed.",
    )


def _act(
    request: HttpRequest, reset_id: int, operation: Callable[[], object], done: str
) -> HttpResponse:
    if not list_open_resets(get_signed_in_user(request).firm_id).filter(pk=reset_id).exists():
        raise Http404
    try:
        operation()
    except Refused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, done)
    return redirect("accounts:resets")
