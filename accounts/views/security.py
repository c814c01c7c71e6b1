"""Sessions: how they begin, end by themselves and are listed; and staff's need of a second step."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from allauth.account.authentication import get_authentication_records
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout, update_session_auth_hash
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import rotate_token
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.access import get_signed_in_user
from accounts.domain.doors import SECOND_FACTOR, STAFF
from accounts.operations import sign_ins, users
from accounts.queries import doors
from accounts.views.step_up import require_fresh_sign_in
from robo.common import clock

SINCE_KEY, SEEN_KEY = "doors.since", "doors.seen"
SEEN_STEP_SECONDS = 60  # how exactly the last activity is known; each step costs a write
POLLING_HEADER = "X-Polling"  # a page that asks by itself is no sign of a person
PROOF_WORDS = {"totp": "a code", "webauthn": "a passkey", "recovery_codes": "a recovery code"}
# What somebody without the second step that their role needs can reach, besides what everybody can.
SET_UP_PAGES = frozenset(
    {
        "accounts:sign_out",
        "account_logout",
        "account_reauthenticate",
        "mfa_activate_totp",
        "mfa_add_webauthn",
        "mfa_index",
        "mfa_reauthenticate",
        "mfa_reauthenticate_webauthn",
        "mfa_view_recovery_codes",
    }
)
Answer = Callable[[HttpRequest], HttpResponse]


class SessionLimitsMiddleware:
    """Ends sessions of people who do nothing, and every session after so many hours."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, as to nobody when the session is over."""
        if request.user.is_authenticated:
            now_seconds = clock.now().timestamp()
            reason = _find_reason_to_end(request, now_seconds)
            if reason:
                user_id = request.user.pk
                logout(request)
                sign_ins.record_session_end(user_id=user_id, reason=reason)
            elif not request.headers.get(POLLING_HEADER):
                _note_activity(request, now_seconds)
        return self.get_response(request)


class SecondFactorMiddleware:
    """Lets staff without a second step reach the pages that set one up, and nothing else."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer; the view is looked at once it is known."""
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """Answer in place of the view when the person must set up, or give, a second step first."""
        user: Any = request.user
        if not settings.SECOND_FACTOR_REQUIRED or not user.is_authenticated:
            return None
        if user.role not in STAFF or _gave_second_factor(request):
            return None
        match = request.resolver_match
        name = match.view_name if match else ""
        if name in SET_UP_PAGES or not getattr(view, "login_required", True):
            return None
        if name.startswith("api:") and name != "api:docs":
            return _refuse_api()
        has_one = doors.has_second_factor(user.pk)
        address = reverse("mfa_reauthenticate" if has_one else "mfa_index")
        if request.headers.get("HX-Request"):
            return HttpResponse(status=204, headers={"HX-Redirect": address})
        return redirect(address)


def begin_session(request: HttpRequest) -> None:
    """Note when a session began; its key is new already."""
    now_seconds = clock.now().timestamp()
    request.session[SINCE_KEY] = request.session[SEEN_KEY] = now_seconds


def rotate_session(request: HttpRequest) -> None:
    """Give the session another key, so that a copy of the old one is worth nothing."""
    old_key = request.session.session_key
    request.session.cycle_key()
    rotate_token(request)
    UserSession.objects.filter(session_key=old_key).update(session_key=request.session.session_key)


def keep_session(request: HttpRequest, user: Any) -> None:
    """Keep the present session alive through a change that ends all of a person's sessions."""
    old_key = request.session.session_key
    update_session_auth_hash(request, user)
    rotate_token(request)
    UserSession.objects.filter(session_key=old_key).update(session_key=request.session.session_key)


def describe_proofs(records: Iterable[Mapping[str, Any]]) -> str:
    """Return in words by what somebody proved who they are."""
    proofs = [
        PROOF_WORDS.get(record.get("type", ""), record["method"])
        if record["method"] == SECOND_FACTOR
        else record["method"]
        for record in records
    ]
    return " and ".join(dict.fromkeys(proofs)) or "nothing on record"


@require_safe
def sessions(request: HttpRequest) -> HttpResponse:
    """List one's own open sessions."""
    context = {"sessions": doors.list_sessions(get_signed_in_user(request))}
    return render(request, "usersessions/usersession_list.html", context)


@require_POST
@require_fresh_sign_in
def session_end(request: HttpRequest, session_id: int) -> HttpResponse:
    """End one of one's own sessions."""
    user = get_signed_in_user(request)
    session = UserSession.objects.filter(pk=session_id, user=user).first()
    if session is None:
        raise Http404
    is_present = session.is_current()
    session.end()
    sign_ins.record_session_end(user_id=user.pk, reason="they ended it themselves")
    if is_present:
        logout(request)
        return redirect("accounts:sign_in")
    messages.success(request, "That session is ended.")
    return redirect("usersessions_list")


@require_POST
@require_fresh_sign_in
def sessions_end(request: HttpRequest) -> HttpResponse:
    """End all of one's own sessions but this one."""
    user = get_signed_in_user(request)
    keep_session(request, users.end_sessions(user_id=user.pk, actor_id=user.pk))
    messages.success(request, "Every other session is ended.")
    return redirect("usersessions_list")


def _find_reason_to_end(request: HttpRequest, now_seconds: float) -> str:
    since, seen = request.session.get(SINCE_KEY), request.session.get(SEEN_KEY)
    if since is None or seen is None:
        return ""
    user: Any = request.user
    minutes = settings.IDLE_MINUTES_STAFF if user.role in STAFF else settings.IDLE_MINUTES_CLIENTS
    if now_seconds - since >= settings.SESSION_HOURS * 3600:
        return f"it was {settings.SESSION_HOURS} hours old"
    if now_seconds - seen >= minutes * 60:
        return f"nothing was done for {minutes} minutes"
    return ""


def _note_activity(request: HttpRequest, now_seconds: float) -> None:
    if SINCE_KEY not in request.session:
        request.session[SINCE_KEY] = now_seconds
    if now_seconds - request.session.get(SEEN_KEY, 0) >= SEEN_STEP_SECONDS:
        request.session[SEEN_KEY] = now_seconds


def _gave_second_factor(request: HttpRequest) -> bool:
    records = get_authentication_records(request, request.user)
    return any(record.get("method") == SECOND_FACTOR for record in records)


def _refuse_api() -> JsonResponse:
    detail = "Set up a second step for signing in first: your role needs one."
    error = {"code": "mfa_required", "detail": detail, "attr": None}
    return JsonResponse({"type": "client_error", "errors": [error]}, status=403)
