"""Step-up: what costs money or opens doors asks who is there once more, when too long ago.

Freshness is read from the sign-in library's own records in the session at the moment of the act.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from allauth.account.adapter import get_adapter
from allauth.account.authentication import get_authentication_records
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from rest_framework import exceptions
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts.domain.doors import check_fresh
from accounts.queries.doors import has_second_factor
from robo.common import clock

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


class StepUpRequired(exceptions.PermissionDenied):
    """403: who is there was proved too long ago for this."""

    default_code = "step_up_required"
    default_detail = "Please confirm that it is you: this needs a recent sign-in."


class FreshSignIn(BasePermission):
    """For endpoints that decide: all but reading needs a fresh sign-in; a token never has one."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the request may go ahead.

        :raises StepUpRequired: when the sign-in is not fresh.
        """
        if request.method in SAFE_METHODS or is_fresh(request._request):
            return True
        raise StepUpRequired


def is_fresh(request: HttpRequest) -> bool:
    """Return whether the person proved within the last minutes, and well enough, who they are."""
    user: Any = request.user
    if not user.is_authenticated:
        return False
    return check_fresh(
        get_authentication_records(request, user),
        now_seconds=clock.now().timestamp(),
        seconds_max=settings.STEP_UP_MINUTES * 60,
        needs_second_factor=has_second_factor(user.pk),
    )


def require_fresh_sign_in(view: View) -> View:
    """Let only those through who proved lately who they are; others are asked, and come back.

    What was posted is not kept and repeated: they see the page again and decide anew.
    """

    @wraps(view)
    def gate(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if is_fresh(request):
            return view(request, *args, **kwargs)
        return ask_again(request)

    return cast(View, gate)


def ask_again(request: HttpRequest) -> HttpResponse:
    """Answer by leading to where people prove who they are, and from there back."""
    methods = get_adapter().get_reauthentication_methods(request.user)
    if not methods:  # nothing left to prove it with: only a new link helps
        logout(request)
        return redirect("accounts:sign_in")
    if request.method not in SAFE_METHODS:
        messages.info(
            request, "Nothing has been done yet. Confirm that it is you, then do it again."
        )
    address = f"{methods[0]['url']}?{urlencode({'next': _find_way_back(request)})}"
    if request.headers.get("HX-Request"):
        # A redirect would put the page of the question inside the page of the answer.
        return HttpResponse(status=204, headers={"HX-Redirect": address})
    return redirect(address)


def _find_way_back(request: HttpRequest) -> str:
    """Return the page to come back to: this one, or the one that this was sent from."""
    if request.method in SAFE_METHODS and not request.headers.get("HX-Request"):
        return request.get_full_path()
    sent_from = request.headers.get("HX-Current-URL") or request.headers.get("Referer", "")
    is_ours = url_has_allowed_host_and_scheme(
        sent_from, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return sent_from if sent_from and is_ours else reverse("home")
