"""Programs that work for the firm: service tokens, and webhooks with their deliveries."""

from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import get_signed_in_user, require_permission
from accounts.domain.permissions import Permission
from accounts.domain.scopes import SCOPE_WORDS, Scope
from accounts.forms.programs import TokenForm, WebhookForm
from accounts.operations import tokens as token_operations
from accounts.operations import webhooks as webhook_operations
from accounts.queries import programs
from accounts.views.step_up import require_fresh_sign_in
from robo.common import clock
from robo.common.errors import Conflict, NotAllowed, Refused

ROWS_A_PAGE = 50


@require_safe
@require_permission(Permission.WRITE_PROGRAMS)
def tokens(request: HttpRequest) -> HttpResponse:
    """List the firm's tokens, and offer to make one."""
    return _show_tokens(request, TokenForm())


@require_POST
@require_permission(Permission.WRITE_PROGRAMS)
@require_fresh_sign_in
def token_create(request: HttpRequest) -> HttpResponse:
    """Make a token, and show its secret on this one answer, which nobody keeps."""
    user = get_signed_in_user(request)
    form = TokenForm(request.POST)
    now = clock.now()
    if form.is_valid():
        try:
            token, secret = token_operations.create_token(
                firm_id=user.firm_id,
                name=form.cleaned_data["name"],
                scopes=[Scope(scope) for scope in form.cleaned_data["scopes"]],
                networks=form.cleaned_data["networks"],
                expires_at=now + timedelta(days=int(form.cleaned_data["days"])),
                now=now,
                actor_id=user.pk,
            )
        except Refused as refusal:
            form.add_error(None, str(refusal))
            return _show_tokens(request, form, status=_status_of(refusal))
        made = {"name": token.name, "secret": secret}
        return _show_tokens(request, TokenForm(), made=made)
    return _show_tokens(request, form, status=422)


@require_POST
@require_permission(Permission.WRITE_PROGRAMS)
@require_fresh_sign_in
def token_revoke(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """End a token at once."""
    user = get_signed_in_user(request)
    token = programs.find_token(firm_id=user.firm_id, public_id=public_id)
    if token is None:
        raise Http404
    token_operations.revoke_token(token_id=token.pk, now=clock.now(), actor_id=user.pk)
    messages.success(request, f"{token.name} can no longer be used.")
    return redirect("accounts:tokens")


@require_safe
@require_permission(Permission.WRITE_PROGRAMS)
def webhooks(request: HttpRequest) -> HttpResponse:
    """List the firm's webhooks and what was sent to them, and offer to add one."""
    return _show_webhooks(request, WebhookForm())


@require_POST
@require_permission(Permission.WRITE_PROGRAMS)
@require_fresh_sign_in
def webhook_add(request: HttpRequest) -> HttpResponse:
    """Add a webhook, and show its signing secret on this one answer."""
    user = get_signed_in_user(request)
    form = WebhookForm(request.POST)
    if form.is_valid():
        try:
            endpoint, secret = webhook_operations.add_endpoint(
                firm_id=user.firm_id, actor_id=user.pk, **form.cleaned_data
            )
        except Refused as refusal:
            form.add_error(None, str(refusal))
            return _show_webhooks(request, form, status=_status_of(refusal))
        made = {"name": endpoint.url, "secret": secret}
        return _show_webhooks(request, WebhookForm(), made=made)
    return _show_webhooks(request, form, status=422)


@require_POST
@require_permission(Permission.WRITE_PROGRAMS)
@require_fresh_sign_in
def webhook_remove(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Tell an address no more."""
    user = get_signed_in_user(request)
    endpoint = programs.find_endpoint(firm_id=user.firm_id, public_id=public_id)
    if endpoint is None:
        raise Http404
    webhook_operations.remove_endpoint(endpoint_id=endpoint.pk, actor_id=user.pk)
    messages.success(request, "This address is no longer told of events.")
    return redirect("accounts:webhooks")


@require_POST
@require_permission(Permission.WRITE_PROGRAMS)
def delivery_replay(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Send a delivery once more."""
    user = get_signed_in_user(request)
    delivery = programs.find_delivery(firm_id=user.firm_id, public_id=public_id)
    if delivery is None:
        raise Http404
    try:
        webhook_operations.replay_delivery(
            delivery_id=delivery.pk, now=clock.now(), actor_id=user.pk
        )
    except Refused as refusal:
        form = WebhookForm()
        messages.error(request, str(refusal))
        return _show_webhooks(request, form, status=_status_of(refusal))
    messages.success(request, "It is sent again, within a minute or so.")
    return redirect("accounts:webhooks")


def _show_tokens(
    request: HttpRequest, form: TokenForm, *, made: dict[str, str] | None = None, status: int = 200
) -> HttpResponse:
    firm_id = get_signed_in_user(request).firm_id
    page = Paginator(programs.list_tokens(firm_id), ROWS_A_PAGE).get_page(request.GET.get("page"))
    for token in page:
        cast(Any, token).words = [SCOPE_WORDS[Scope(scope)] for scope in token.scopes]
    context: dict[str, Any] = {"page": page, "form": form, "made": made, "now": clock.now()}
    return render(request, "accounts/tokens.html", context, status=status)


def _show_webhooks(
    request: HttpRequest,
    form: WebhookForm,
    *,
    made: dict[str, str] | None = None,
    status: int = 200,
) -> HttpResponse:
    firm_id = get_signed_in_user(request).firm_id
    deliveries = Paginator(programs.list_deliveries(firm_id), ROWS_A_PAGE)
    context: dict[str, Any] = {
        "endpoints": programs.list_endpoints(firm_id),
        "page": deliveries.get_page(request.GET.get("page")),
        "form": form,
        "made": made,
    }
    return render(request, "accounts/webhooks.html", context, status=status)


def _status_of(refusal: Refused) -> int:
    if isinstance(refusal, Conflict):
        return 409
    return 403 if isinstance(refusal, NotAllowed) else 422
