"""Secrets of the firm: written by one person, put into use by another, shown to nobody."""

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from accounts.access import get_signed_in_user, has_permission, require_permission
from accounts.domain.permissions import Permission
from accounts.forms.programs import SecretForm
from accounts.operations import secrets as operations
from accounts.queries import programs
from accounts.views.step_up import require_fresh_sign_in
from robo.common.errors import Conflict, NotAllowed, Refused


@require_safe
@require_permission(Permission.WRITE_SECRETS, Permission.CONFIRM_SECRETS)
def secrets(request: HttpRequest) -> HttpResponse:
    """List which secrets are set, by whom, and which wait for a second person."""
    return _show(request, SecretForm())


@sensitive_post_parameters("value")
@require_POST
@require_permission(Permission.WRITE_SECRETS)
@require_fresh_sign_in
def secret_set(request: HttpRequest) -> HttpResponse:
    """Keep a new value; it waits for a second person."""
    user = get_signed_in_user(request)
    form = SecretForm(request.POST)
    if form.is_valid():
        try:
            row = operations.set_secret(firm_id=user.firm_id, actor_id=user.pk, **form.cleaned_data)
        except Refused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"{row.name} is kept. Somebody else must confirm it.")
            return redirect("accounts:secrets")
    return _show(request, form, status=422)


@require_POST
@require_permission(Permission.CONFIRM_SECRETS)
@require_fresh_sign_in
def secret_confirm(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Put a waiting value into use."""
    return _decide(request, public_id, operations.confirm_secret, "is in use.")


@require_POST
@require_permission(Permission.CONFIRM_SECRETS)
@require_fresh_sign_in
def secret_refuse(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Drop a waiting value."""
    return _decide(request, public_id, operations.refuse_secret, "was dropped.")


def _decide(
    request: HttpRequest, public_id: UUID, operation: Callable[..., None], done: str
) -> HttpResponse:
    user = get_signed_in_user(request)
    row = programs.find_waiting_secret(firm_id=user.firm_id, public_id=public_id)
    if row is None:
        raise Http404
    try:
        operation(secret_id=row.pk, actor_id=user.pk)
    except Refused as refusal:
        messages.error(request, str(refusal))
        is_late = isinstance(refusal, Conflict)
        status = 409 if is_late else 403 if isinstance(refusal, NotAllowed) else 422
        return _show(request, SecretForm(), status=status)
    messages.success(request, f"The new value of {row.name} {done}")
    return redirect("accounts:secrets")


def _show(request: HttpRequest, form: SecretForm, *, status: int = 200) -> HttpResponse:
    user = get_signed_in_user(request)
    context = {
        "rows": programs.list_secrets(user.firm_id),
        "form": form,
        "may_write": has_permission(user, Permission.WRITE_SECRETS),
    }
    return render(request, "accounts/secrets.html", context, status=status)
