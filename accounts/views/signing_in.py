"""Signing in and out, the one-time link of somebody new or forgetful, and one's own password."""

from typing import TYPE_CHECKING, Any

from allauth.account.internal.decorators import login_stage_required
from allauth.account.internal.flows.logout import logout
from allauth.account.views import LoginView
from allauth.mfa.base.views import AuthenticateView
from allauth.mfa.stages import AuthenticateStage
from allauth.mfa.webauthn.views import LoginWebAuthnView
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import PasswordChangeForm, SetPasswordForm
from django.contrib.auth.views import INTERNAL_RESET_SESSION_TOKEN, PasswordResetConfirmView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from accounts.access import PeopleBackend, get_signed_in_user
from accounts.domain.roles import Role
from accounts.forms.doors import ForgottenForm, SignInForm
from accounts.operations import sign_ins, users
from accounts.queries import people as queries
from accounts.views import throttle
from accounts.views.security import keep_session
from accounts.views.step_up import require_fresh_sign_in
from robo.common import clock, tenancy
from robo.common.errors import Refused

if TYPE_CHECKING:
    from accounts.models import User

PASSWORD_DOOR, CODE_DOOR, PASSKEY_DOOR = "password", "code", "passkey"
LINK_DOOR, FORGOTTEN_DOOR = "link", "forgotten"


class SignIn(LoginView):  # type: ignore[misc]
    """Sign in with e-mail and password; the answer never tells whether an address is known."""

    template_name = "accounts/sign_in.html"

    def get_form_class(self) -> type[SignInForm]:
        """Return the form of the page."""
        return SignInForm

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Try the pair, unless too many were tried before."""
        wait = throttle.register(request, door=PASSWORD_DOOR, who=self._who())
        if not wait.seconds:
            answer: HttpResponse = super().post(request, *args, **kwargs)
            return answer
        if wait.is_news:
            sign_ins.record_failure(
                email=self._who(),
                event="refused",
                words="Too many passwords were tried for {name}: further ones have to wait",
                network=throttle.get_network(request),
            )
        words = f"Too many attempts. Please wait {throttle.describe_wait(wait.seconds)}."
        # Not even tried, so the form is not bound: it only repeats the address.
        form = SignInForm(initial={"login": self._who()}, request=request)
        context = self.get_context_data(form=form, refusal=words)
        response: HttpResponse = self.render_to_response(context, status=429)
        response["Retry-After"] = str(wait.seconds)
        return response

    def form_valid(self, form: Any) -> HttpResponse:
        """Let the person in, or on to the second step, and forget the attempts before."""
        throttle.forget(self.request, door=PASSWORD_DOOR, who=self._who())
        answer: HttpResponse = super().form_valid(form)
        return answer

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return what the page shows; a demo says whom to sign in as."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        if settings.DEMO and settings.DEMO_PASSWORD:
            context["demo_people"] = [
                {
                    "role": user.role.replace("_", " ").lower(),
                    "email": user.email,
                    "password": settings.DEMO_PASSWORD,
                }
                for user in queries.list_first_of_each_role(
                    [role for role in Role if role != Role.SERVICE]
                )
            ]
        return context

    def _who(self) -> str:
        return str(self.request.POST.get("username", ""))[:320]


@method_decorator(
    login_stage_required(stage=AuthenticateStage.key, redirect_urlname="account_login"),
    name="dispatch",
)
class SecondStep(AuthenticateView):  # type: ignore[misc]
    """The second step of a sign-in: a code, a recovery code or a passkey."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Try what was sent, unless too much was tried before."""
        self.person_id = request._login_stage.login.user.pk  # type: ignore[attr-defined]
        if request.method == "POST":
            wait = throttle.register(request, door=CODE_DOOR, who=str(self.person_id))
            if wait.seconds:
                return throttle.refuse(request, wait)
        answer: HttpResponse = super().dispatch(request, *args, **kwargs)
        return answer

    def form_valid(self, form: Any) -> HttpResponse:
        """Let the person in."""
        throttle.forget(self.request, door=CODE_DOOR, who=str(self.person_id))
        answer: HttpResponse = super().form_valid(form)
        return answer

    def form_invalid(self, form: Any) -> HttpResponse:
        """Write down the miss, and show the page again."""
        network = throttle.get_network(self.request)
        sign_ins.record_failed_code(user_id=self.person_id, network=network)
        answer: HttpResponse = super().form_invalid(form)
        answer.status_code = 422
        return answer


class PasskeySignIn(LoginWebAuthnView):  # type: ignore[misc]
    """Sign in with a passkey alone: something one has that asks for a PIN or finger as well."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Try what the passkey signed; nobody is named yet, so the network alone counts."""
        wait = throttle.register(request, door=PASSKEY_DOOR, who="")
        if wait.seconds:
            return throttle.refuse(request, wait)
        answer: HttpResponse = super().post(request, *args, **kwargs)
        return answer

    def form_valid(self, form: Any) -> HttpResponse:
        """Let the person in."""
        throttle.forget(self.request, door=PASSKEY_DOOR, who="")
        answer: HttpResponse = super().form_valid(form)
        return answer

    def form_invalid(self, form: Any) -> HttpResponse:
        """Lead back to the sign-in page, which says that it did not work."""
        messages.error(self.request, "That passkey is not known here.")
        return redirect("accounts:sign_in")


@login_not_required
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session, or give up between the two steps of a sign-in."""
    if request.user.is_authenticated:
        sign_ins.record_sign_out(user_id=request.user.pk)
    logout(request, show_message=False)
    response = redirect("accounts:sign_in")
    # Whoever sits down next finds nothing of what was shown.
    response["Clear-Site-Data"] = '"cache"'
    return response


@login_not_required
def forgotten(request: HttpRequest) -> HttpResponse:
    """Have a link sent that sets a new password; the answer is the same for every address."""
    form = ForgottenForm(request.POST or None)
    if request.method == "POST":
        who = request.POST.get("email", "")[:320]
        wait = throttle.register(request, door=FORGOTTEN_DOOR, who=who)
        if wait.seconds:
            return throttle.refuse(request, wait)
        if form.is_valid():
            sign_ins.ask_for_link(
                email=form.cleaned_data["email"],
                site=request.build_absolute_uri("/"),
                now=clock.now(),
            )
            return redirect("account_reset_password_done")
    return render(request, "accounts/forgotten.html", {"form": form}, status=_status(form))


@login_not_required
def forgotten_done(request: HttpRequest) -> HttpResponse:
    """Say that a link is on its way, if there is somebody to send it to."""
    return render(request, "accounts/forgotten_done.html")


@method_decorator(login_not_required, name="dispatch")
class Welcome(PasswordResetConfirmView):
    """Where a one-time link leads: its owner chooses a password, and the link is spent.

    A second step stays as it is: the link replaces the first one only.
    """

    template_name = "accounts/welcome.html"
    form_class: "type[SetPasswordForm[User]]" = SetPasswordForm
    success_url = reverse_lazy("accounts:sign_in")

    def dispatch(self, *args: Any, **kwargs: Any) -> Any:
        """Look at the link, unless too many did not work that came from there."""
        wait = throttle.register(self.request, door=LINK_DOOR, who="")
        if wait.seconds:
            return throttle.refuse(self.request, wait)
        answer = super().dispatch(*args, **kwargs)
        if getattr(self, "validlink", False) or answer.status_code == 302:
            throttle.forget(self.request, door=LINK_DOOR, who="")
        return answer

    def get_user(self, uidb64: str) -> "User | None":
        """Return whose link it is, unless they may not sign in."""
        user = super().get_user(uidb64)
        return user if PeopleBackend().user_can_authenticate(user) else None

    def form_valid(self, form: Any) -> HttpResponse:
        """Set the password through the operation, which also writes the journal."""
        try:
            with tenancy.as_firm(form.user.firm_id):
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
@require_fresh_sign_in
def password(request: HttpRequest) -> HttpResponse:
    """Change one's own password."""
    user = get_signed_in_user(request)
    form = PasswordChangeForm(user, data=request.POST or None)
    if request.method == "POST":
        wait = throttle.register(request, door=PASSWORD_DOOR, who=user.email)
        if wait.seconds:
            return throttle.refuse(request, wait)
    if request.method == "POST" and form.is_valid():
        throttle.forget(request, door=PASSWORD_DOOR, who=user.email)
        try:
            changed = users.set_password(
                user_id=user.pk, password=form.cleaned_data["new_password1"], actor_id=user.pk
            )
        except Refused as refusal:
            form.add_error(None, str(refusal))
        else:
            # Every other session of this person ends; this one goes on.
            keep_session(request, changed)
            messages.success(request, "Your password is changed. Other sessions were ended.")
            return redirect("accounts:password")
    return render(request, "accounts/password.html", {"form": form}, status=_status(form))


def _status(form: Any) -> int:
    return 422 if form.is_bound and form.errors else 200
