"""Which broker a firm's orders go to: seen by who keeps it running, changed by the firm's admin."""

from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts.access import (
    check_permission,
    get_signed_in_user,
    has_permission,
    require_permission,
)
from accounts.domain.permissions import Permission
from accounts.queries.programs import list_secrets
from accounts.views.step_up import ask_again, is_fresh
from rebalancer.domain.kinds import BrokerKind
from rebalancer.forms.brokers import ConnectionForm, build_form
from rebalancer.operations.connections import connect_broker, get_broker_kind
from rebalancer.queries.pages.connections import find_connection
from rebalancer.views.answers import UNPROCESSABLE
from robo.common.errors import Conflict, Refused

if TYPE_CHECKING:
    from accounts.models import User

CONFLICT = 409
KIND_WORDS = {
    BrokerKind.PAPER: "Paper broker",
    BrokerKind.ALPACA: "Alpaca",
    BrokerKind.FIX: "A broker by FIX 4.4",
}


@sensitive_post_parameters("secret_value")
@require_permission(Permission.CONNECT_BROKER, Permission.ROTATE_SECRETS)
@require_http_methods(["GET", "HEAD", "POST"])
def show_broker(request: HttpRequest) -> HttpResponse:
    """Show which broker a firm's orders go to; connect another one here."""
    user = get_signed_in_user(request)
    kind = _read_kind(request, get_broker_kind(user.firm_id))
    if request.method != "POST":
        return _render(request, user, build_form(kind, None, hosts=settings.BROKER_HOSTS))
    check_permission(user, Permission.CONNECT_BROKER)
    if not is_fresh(request):
        return ask_again(request)
    form = build_form(kind, request.POST, hosts=settings.BROKER_HOSTS)
    status = UNPROCESSABLE
    if form.is_valid():
        try:
            connect_broker(
                firm_id=user.firm_id,
                kind=kind,
                connection_settings=form.read_settings(),
                secret_name=form.cleaned_data.get("secret_name", ""),
                secret_value=form.cleaned_data.get("secret_value", ""),
                actor_id=user.pk,
                through="the page of the broker",
            )
        except Refused as error:
            form.add_error(None, str(error))
            status = CONFLICT if isinstance(error, Conflict) else UNPROCESSABLE
        else:
            messages.success(request, f"Orders go to {KIND_WORDS[kind]} from now on.")
            return redirect("rebalancer:broker")
    return _render(request, user, form, status=status)


def _read_kind(request: HttpRequest, present: BrokerKind) -> BrokerKind:
    """Return the kind that the address or the form names; what is unknown is the present one."""
    named = (request.POST if request.method == "POST" else request.GET).get("kind", "")
    return BrokerKind(named) if named in list(BrokerKind) else present


def _render(
    request: HttpRequest, user: "User", form: ConnectionForm, *, status: int = 200
) -> HttpResponse:
    connection = find_connection(user.firm_id)
    kind = BrokerKind(connection.kind) if connection else BrokerKind.PAPER
    name = connection.secret_name if connection else ""
    chosen = _read_kind(request, kind)
    context = {
        "connection": connection,
        "kind_words": KIND_WORDS[kind],
        "facts": sorted(connection.settings.items()) if connection else [],
        "secrets": [row for row in list_secrets(user.firm_id) if name and row.name == name],
        "may_see_secrets": has_permission(user, Permission.WRITE_SECRETS),
        "may_connect": has_permission(user, Permission.CONNECT_BROKER),
        "choices": [(one.value, words, one is chosen) for one, words in KIND_WORDS.items()],
        "chosen_words": KIND_WORDS[chosen],
        # The paper broker has nothing to set: connecting it again would change nothing.
        "is_present_paper": chosen is kind is BrokerKind.PAPER,
        "form": form,
    }
    return render(request, "rebalancer/broker.html", context, status=status)
