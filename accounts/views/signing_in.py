"""Signing in and out, the one-time link of somebody new, and changing one's password."""

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm, SetPasswordForm
from django.contrib.auth.views import (
    INTERNAL_RESET_SESSION_TOKEN,
    LoginView,
    PasswordResetConfirmView,
)
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.views.decorators.debug import sensitive_post_parameters

from accounts.access import PeopleBackend, get_signed_in_user
from accounts.domain.roles import Role
from accounts.forms import SignInForm
from accounts.operations import users
from accounts.queries import people as queries
from accounts.views import throttle
from robo.common import clock
from robo.common.errors import Refused

if TYPE_CHECKING:
    from accounts.models import User


class SignIn(LoginView):
    """Sign in with e-mail and password; the answer never tells whether an address is known."""

    template_name = "accounts/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Try the pair, unless too many were tried before."""
        wait_seconds = throttle.register_attempt(**self._who(), now=clock.now())
        if wait_seconds:
            form = SignInForm(request, data=request.POST, wait_seconds=wait_seconds)
            response = self.render_to_response(self.get_context_data(form=form), status=429)
            response["Retry-After"] = str(wait_seconds)
            return response
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        """Let the person in, and forget the attempts before."""
        throttle.forget_attempts(**self._who())
        return super().form_valid(form)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return what the page shows; a demo says whom to sign in as."""
        context = super().get_context_data(**kwargs)
        if settings.DEMO and settings.DEMO_PASSWORD:
            context["demo_people"] = [
                {"role": user.role, "email": user.email, "password": settings.DEMO_PASSWORD}
                for user in queries.list_first_of_each_role([Role.CLIENT, Role.ADVISOR, Role.ADMIN])
            ]
        return context

    def _who(self) -> dict[str, str]:
        return {
            "email": self.request.POST.get("username", "")[:320],
            "address": throttle.get_address(self.request),
        }


class Welcome(PasswordResetConfirmView):
    """Where a one-time link leads: its owner chooses a password, and the link is spent."""

    template_name = "accounts/welcome.html"
    form_class: "type[SetPasswordForm[User]]" = SetPasswordForm
    success_url = reverse_lazy("accounts:sign_in")

    def get_user(self, uidb64: str) -> "User | None":
        """Return whose link it is, unless they may not sign in."""
        user = super().get_user(uidb64)
        return user if PeopleBackend().user_can_authenticate(user) else None

    def form_valid(self, form: Any) -> HttpResponse:
        """Set the password through the operation, which also writes the journal."""
        try:
            users.set_password(
                user_id=form.user.pk,
                password=form.cleaned_data["new_password1"],
                actor_id=form.user.pk,
            )
        except Refused as refusal:
            form.add_error(None, str(refusal))
            return self.form_invalid(form)
        del self.request.session[INTERNAL_RESET_SESSION_TOKEN]
        messages.success(self.request, "Your password is set. Please sign in with it.")
        return redirect(self.get_success_url())


@sensitive_post_parameters()
def password(request: HttpRequest) -> HttpResponse:
    """Change one's own password."""
    user = get_signed_in_user(request)
    form = PasswordChangeForm(user, data=request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            changed = users.set_password(
                user_id=user.pk, password=form.cleaned_data["new_password1"], actor_id=user.pk
            )
        except Refused as refusal:
            form.add_error(None, str(refusal))
        else:
            # Every other session of this person ends; this one goes on.
            update_session_auth_hash(request, changed)
            messages.success(request, "Your password is changed. Other sessions were ended.")
            return redirect("accounts:password")
    return render(request, "accounts/password.html", {"form": form}, status=_status(form))


def _status(form: Any) -> int:
    return 422 if form.is_bound and form.errors else 200
