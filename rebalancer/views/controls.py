"""The controls: what is stopped and how it goes on, limits with their use today, halts."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import (
    check_permission,
    get_account_for,
    get_signed_in_user,
    has_permission,
    require_permission,
    visible_accounts,
)
from accounts.domain.permissions import Permission
from accounts.domain.roles import Role
from accounts.views.step_up import require_fresh_sign_in
from portfolios.access import get_security_for
from portfolios.operations.halts import MAY_HALT, lift_halt, set_halt
from portfolios.queries.halts import list_halts
from portfolios.queries.securities import list_symbols
from rebalancer.access import get_limit_set_for, get_switch_for, visible_switches
from rebalancer.domain.limits import SwitchScope
from rebalancer.forms.controls import HaltForm, LimitsDecisionForm, LimitsForm, ReasonForm, StopForm
from rebalancer.operations import controls as operations
from rebalancer.operations import limits as limit_operations
from rebalancer.queries import controls as reads
from rebalancer.queries.pages import controls as pages
from rebalancer.views.answers import UNPROCESSABLE, say_no
from robo.common import clock
from robo.common.builds import list_programs
from robo.common.errors import Conflict, Refused

if TYPE_CHECKING:
    from accounts.models import User

CONFLICT = 409
# Whose accounts may wait for a security. Not operators: what they look up is put on record.
TOLD_OF_SECURITIES = (Role.CLIENT, Role.ADVISOR, Role.SUPERVISOR)
# What is stopped from the page of the controls; accounts are stopped on a page of their own.
SCOPES_HERE = (SwitchScope.FIRM, SwitchScope.SECURITY, SwitchScope.BROKER, SwitchScope.ALL)


def trading_stops(request: HttpRequest) -> dict[str, Any]:
    """Give every page the banner of what is stopped; asked for only where a frame shows it."""
    user: Any = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}
    return {
        "trading_stops": lambda: pages.build_banner(
            user=user,
            accounts=visible_accounts(user) if user.role in TOLD_OF_SECURITIES else None,
            now=clock.now(),
        ),
        "may_see_controls": has_permission(user, Permission.SET_SWITCH),
    }


@require_permission(Permission.SET_SWITCH)
@require_safe
def show_controls(request: HttpRequest) -> HttpResponse:
    """Show what is stopped, halts, today's hours, and limits with their use."""
    return _render(request, get_signed_in_user(request))


def _render(
    request: HttpRequest, user: "User", *, status: int = 200, **forms: object
) -> HttpResponse:
    now = clock.now()
    may_halt = user.role in MAY_HALT
    scopes = [scope for scope in SCOPES_HERE if user.role in operations.MAY_SET[scope]]
    security_ids = list_symbols(user.firm_id) if scopes or may_halt else {}
    limits = reads.get_limits([user.firm_id])[user.firm_id]
    day = reads.find_session(user.firm, limits, now)
    context = {
        "now": now,
        "day": day,
        "exchange": user.firm.exchange,
        "alarm": reads.find_calendar_alarm(exchange=user.firm.exchange, today=day.session_date),
        "stops": _list_stops(user, visible_switches(user)),
        "limits": pages.load_limits_page(firm=user.firm, now=now)
        if has_permission(user, Permission.READ_POLICIES)
        else None,
        "currency": user.firm.currency,
        "may_propose": has_permission(user, Permission.WRITE_POLICIES),
        "may_confirm": has_permission(user, Permission.CONFIRM_LIMITS),
        "may_halt": may_halt,
        "halts": list_halts(firm_id=user.firm_id, now=now),
        "stop_form": StopForm(auto_id="stop_%s", scopes=scopes, security_ids=security_ids)
        if scopes
        else None,
        "programs": list_programs() if SwitchScope.ALL in scopes else [],
        "halt_form": HaltForm(auto_id="halt_%s", security_ids=security_ids),
        "ask_form": ReasonForm(auto_id=False),
        "decision_form": LimitsDecisionForm(auto_id="decide_%s"),
        **forms,
    }
    return render(request, "rebalancer/controls.html", context, status=status)


def _list_stops(user: "User", switches: Any) -> list[pages.StopLine]:
    return pages.list_stops(
        switches=switches,
        user=user,
        may_set={scope for scope, roles in operations.MAY_SET.items() if user.role in roles},
        may_clear={scope for scope, roles in operations.MAY_CLEAR.items() if user.role in roles},
    )


def _refuse(error: Refused) -> int:
    return CONFLICT if isinstance(error, Conflict) else UNPROCESSABLE


# --- Switches -----------------------------------------------------------------------------------


@require_permission(Permission.SET_SWITCH)
@require_POST
def stop(request: HttpRequest) -> HttpResponse:
    """Stop the firm, a security, a broker or everything."""
    user = get_signed_in_user(request)
    scopes = [scope for scope in SCOPES_HERE if user.role in operations.MAY_SET[scope]]
    form = StopForm(
        request.POST, auto_id="stop_%s", scopes=scopes, security_ids=list_symbols(user.firm_id)
    )
    status = UNPROCESSABLE
    if form.is_valid():
        values = {**form.cleaned_data, "scope": SwitchScope(form.cleaned_data["scope"])}
        try:
            switch = operations.set_switch(user_id=user.pk, **values)
        except Refused as error:
            form.add_error(None, str(error))
            status = _refuse(error)
        else:
            messages.success(request, f"Stopped: {operations.describe(switch)}.")
            return redirect("rebalancer:controls")
    return _render(request, user, status=status, stop_form=form)


@require_permission(Permission.SET_SWITCH, Permission.STOP_OWN_ACCOUNT)
@require_http_methods(["GET", "HEAD", "POST"])
def stop_account(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Show whether an account may trade; stop it here."""
    user = get_signed_in_user(request)
    account = get_account_for(user, public_id)
    form = ReasonForm(request.POST or None, auto_id="stop_%s")
    status = 200
    if request.method == "POST":
        status = UNPROCESSABLE
        if form.is_valid():
            try:
                operations.set_switch(
                    scope=SwitchScope.ACCOUNT,
                    user_id=user.pk,
                    account_id=account.pk,
                    reason=form.cleaned_data["reason"],
                )
            except Refused as error:
                form.add_error(None, str(error))
                status = _refuse(error)
            else:
                messages.success(request, f"{account.name} is stopped: nothing is sent for it.")
                return redirect("rebalancer:stop_account", public_id)
    stops = _list_stops(user, pages.find_account_stops(account))
    context = {
        "account": account,
        "now": clock.now(),
        "own": next((line for line in stops if line.switch.scope == SwitchScope.ACCOUNT), None),
        "wider": [line for line in stops if line.switch.scope != SwitchScope.ACCOUNT],
        "form": form,
        "may_stop": user.role in operations.MAY_SET[SwitchScope.ACCOUNT],
        "is_client": user.role == Role.CLIENT,
        "ask_form": ReasonForm(auto_id=False),
    }
    return render(request, "rebalancer/controls_account.html", context, status=status)


@require_permission(Permission.SET_SWITCH, Permission.STOP_OWN_ACCOUNT)
@require_POST
@require_fresh_sign_in
def ask_to_clear(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Ask, as the first of two people, that something may go on."""
    user = get_signed_in_user(request)
    switch = get_switch_for(user, public_id)
    back_url = _find_way_back(user, switch)
    form = ReasonForm(request.POST)
    try:
        operations.ask_to_clear(
            switch_id=switch.pk,
            user_id=user.pk,
            reason=form.cleaned_data["reason"] if form.is_valid() else "",
        )
    except Refused as error:
        return say_no(request, error, back_url=back_url, back_label="Back")
    messages.success(request, "Asked. A supervisor confirms before anything goes on.")
    return redirect(back_url)


@require_permission(Permission.CLEAR_SWITCH, Permission.SET_SWITCH)
@require_POST
@require_fresh_sign_in
def clear(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Let something go on, as the second person."""
    user = get_signed_in_user(request)
    switch = get_switch_for(user, public_id)
    back_url = _find_way_back(user, switch)
    try:
        operations.clear_switch(switch_id=switch.pk, user_id=user.pk)
    except Refused as error:
        return say_no(request, error, back_url=back_url, back_label="Back")
    messages.success(request, f"Goes on again: {operations.describe(switch)}.")
    return redirect(back_url)


def _find_way_back(user: "User", switch: Any) -> str:
    """Return the page of the controls; a client's is that of the account."""
    if has_permission(user, Permission.SET_SWITCH):
        return reverse("rebalancer:controls")
    return reverse("rebalancer:stop_account", args=[switch.account.public_id])


# --- Halts --------------------------------------------------------------------------------------


@require_permission(Permission.SET_SWITCH)
@require_POST
def halt(request: HttpRequest) -> HttpResponse:
    """Halt a security."""
    user = get_signed_in_user(request)
    form = HaltForm(request.POST, auto_id="halt_%s", security_ids=list_symbols(user.firm_id))
    status = UNPROCESSABLE
    if form.is_valid():
        try:
            row = set_halt(
                security_id=form.cleaned_data["symbol"],
                user_id=user.pk,
                reason=form.cleaned_data["reason"],
                now=clock.now(),
                until=form.cleaned_data["until"],
            )
        except Refused as error:
            form.add_error(None, str(error))
            status = _refuse(error)
        else:
            messages.success(request, f"{row.security.symbol} is halted.")
            return redirect("rebalancer:controls")
    return _render(request, user, status=status, halt_form=form)


@require_permission(Permission.READ_SECURITIES)
@require_POST
def lift(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """End the halt of a security."""
    user = get_signed_in_user(request)
    security = get_security_for(user, public_id)
    try:
        lift_halt(security_id=security.pk, user_id=user.pk, now=clock.now())
    except Refused as error:
        address = reverse("rebalancer:controls")
        return say_no(request, error, back_url=address, back_label="Back to the controls")
    messages.success(request, f"{security.symbol} is no longer halted.")
    return redirect("rebalancer:controls")


# --- Limits -------------------------------------------------------------------------------------


@require_permission(Permission.WRITE_POLICIES)
@require_safe
def edit_limits(request: HttpRequest) -> HttpResponse:
    """Show the form in which other limits are proposed."""
    user = get_signed_in_user(request)
    limits = reads.get_limits([user.firm_id])[user.firm_id]
    return render(request, "rebalancer/controls_limits.html", {"form": LimitsForm(limits=limits)})


@require_permission(Permission.WRITE_POLICIES)
@require_POST
@require_fresh_sign_in
def propose_limits(request: HttpRequest) -> HttpResponse:
    """Propose other limits; a second person puts them in force."""
    user = get_signed_in_user(request)
    limits = reads.get_limits([user.firm_id])[user.firm_id]
    form = LimitsForm(request.POST, limits=limits)
    status = UNPROCESSABLE
    if form.is_valid():
        try:
            limit_operations.propose_limits(
                firm_id=user.firm_id,
                user_id=user.pk,
                values=form.read_values(),
                reason=form.cleaned_data["reason"],
            )
        except Refused as error:
            form.add_error(None, str(error))
            status = _refuse(error)
        else:
            messages.success(request, "Proposed. They are in force once a second person agrees.")
            return redirect("rebalancer:controls")
    return render(request, "rebalancer/controls_limits.html", {"form": form}, status=status)


@require_permission(Permission.CONFIRM_LIMITS)
@require_POST
@require_fresh_sign_in
def decide_limits(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Put proposed limits in force, or refuse them."""
    user = get_signed_in_user(request)
    check_permission(user, Permission.SET_SWITCH)
    row = get_limit_set_for(user, public_id)
    form = LimitsDecisionForm(request.POST, auto_id="decide_%s")
    if not form.is_valid():
        return _render(request, user, status=UNPROCESSABLE, decision_form=form)
    try:
        if form.cleaned_data["decision"] == "approve":
            limit_operations.approve_limits(limit_set_id=row.pk, user_id=user.pk)
        else:
            limit_operations.refuse_limits(
                limit_set_id=row.pk, user_id=user.pk, note=form.cleaned_data["note"]
            )
    except Refused as error:
        form.add_error(None, str(error))
        return _render(request, user, status=_refuse(error), decision_form=form)
    messages.success(request, "Decided: see below which limits are in force.")
    return redirect("rebalancer:controls")
