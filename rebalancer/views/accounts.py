"""An account: holdings, lots and activity; money in and out, cash needs, and a look on request."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.access import get_account_for, get_signed_in_user, has_permission, require_permission
from accounts.domain.permissions import Permission
from accounts.domain.roles import Role
from accounts.operations import cash_needs
from portfolios.operations import books
from portfolios.queries.books import get_market_date
from portfolios.queries.breaks import list_open_breaks
from rebalancer import tasks
from rebalancer.access import visible_proposals
from rebalancer.domain.kinds import CheckStatus
from rebalancer.domain.limits import SwitchScope
from rebalancer.forms import CashForm, CashNeedForm
from rebalancer.operations import cash
from rebalancer.operations.checks import request_check
from rebalancer.operations.controls import MAY_SET
from rebalancer.queries.books import describe_policy
from rebalancer.queries.pages import account as pages
from rebalancer.queries.pages import words
from rebalancer.queries.pages.household import draw_drift
from rebalancer.queries.pages.standing import draw_allocation
from rebalancer.queries.pages.timeline import list_activity
from rebalancer.views.answers import UNPROCESSABLE, get_price_date, say_no, tell_form_errors
from robo.common import clock
from robo.common.errors import Conflict, NotAllowed, Refused
from robo.common.templatetags import figures

if TYPE_CHECKING:
    from accounts.models import Account, User

ACTIVITY_MAX = 40
LABELS = {"deposit": "Pay in", "withdraw": "Pay out"}


@require_permission(Permission.READ_HOLDINGS)
@require_safe
def show_account(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Show an account as it stands."""
    user = get_signed_in_user(request)
    return _render(request, user, get_account_for(user, public_id), {}, 200)


def _render(
    request: HttpRequest,
    user: "User",
    account: "Account",
    forms: dict[str, object],
    status: int,
) -> HttpResponse:
    price_date = get_price_date(account.firm, clock.now())
    page = pages.load_account_page(account=account, price_date=price_date)
    context = {
        "account": account,
        "currency": account.firm.currency,
        "price_date": price_date,
        "page": page,
        "tax_status": words.TAX_STATUS_WORDS[account.tax_status],
        "is_taxable": account.tax_status == "TAXABLE",
        "policy_sentence": words.explain_policy(describe_policy(page.policy))
        if page.policy
        else "",
        "allocation_chart": draw_allocation(page.standing.rows) if page.standing.rows else None,
        "drift_chart": draw_drift([account.pk]),
        "activity": list_activity(
            account_id=account.pk, currency=account.firm.currency, limit=ACTIVITY_MAX
        ),
        "state": page.state,
        "proposals": pages.list_proposals(proposals=visible_proposals(user), account_id=account.pk),
        "checks": pages.list_checks(account.pk),
        "breaks": list_open_breaks([account.pk]),
        "needs": account.cash_needs.filter(is_settled=False).order_by("due_date", "pk"),
        "may_plan_cash": has_permission(user, Permission.MOVE_CASH) and account.is_open,
        "may_book_cash": _may_book_cash(user),
        "may_stop": account.is_open and user.role in MAY_SET[SwitchScope.ACCOUNT],
        "may_look": has_permission(user, Permission.CREATE_PROPOSALS) and account.is_open,
        "deposit_form": CashForm(auto_id="deposit_%s", label=LABELS["deposit"]),
        "withdraw_form": CashForm(auto_id="withdraw_%s", label=LABELS["withdraw"]),
        "need_form": CashNeedForm(auto_id="need_%s"),
        **forms,
    }
    return render(request, "rebalancer/account.html", context, status=status)


@require_permission(Permission.MOVE_CASH)
@require_POST
def deposit(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Book money that came."""
    return _move_cash(request, public_id, "deposit")


@require_permission(Permission.MOVE_CASH)
@require_POST
def withdraw(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Book money that went."""
    return _move_cash(request, public_id, "withdraw")


def _may_book_cash(user: "User") -> bool:
    """Return whether this person's word is enough for money in the books.

    Advisors record what the custodian did; a client's own word counts in a simulated market only.
    """
    return user.role == Role.ADVISOR or (settings.DEMO and user.role == Role.CLIENT)


def _move_cash(request: HttpRequest, public_id: UUID, kind: str) -> HttpResponse:
    user = get_signed_in_user(request)
    account = get_account_for(user, public_id)
    if not _may_book_cash(user):
        refusal = NotAllowed("Your advisor records money that came or went: ask them.")
        address = reverse("rebalancer:account", args=[public_id])
        return say_no(request, refusal, back_url=address, back_label="Back to the account")
    form = CashForm(request.POST, auto_id=f"{kind}_%s", label=LABELS[kind])
    if form.is_valid():
        operation = books.deposit_cash if kind == "deposit" else cash.withdraw_cash
        try:
            operation(
                account_id=account.pk,
                amount=form.cleaned_data["amount"],
                entry_date=get_market_date(account.firm, clock.now()),
                token=form.cleaned_data["token"],
                actor_id=user.pk,
            )
        except Conflict as error:
            address = reverse("rebalancer:account", args=[public_id])
            return say_no(request, error, back_url=address, back_label="Back to the account")
        except Refused as error:
            form.add_error("amount", str(error))
        else:
            tasks.nudge(tasks.find_due_checks)
            amount = figures.money(form.cleaned_data["amount"], account.firm.currency)
            done = "paid in" if kind == "deposit" else "paid out"
            messages.success(request, f"{amount} {done}. We look at the account next.")
            return redirect("rebalancer:account", public_id)
    return _render(request, user, account, {f"{kind}_form": form}, UNPROCESSABLE)


@require_permission(Permission.MOVE_CASH)
@require_safe
def preview(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Answer what would follow from a deposit or withdrawal; nothing is stored."""
    account = get_account_for(get_signed_in_user(request), public_id)
    is_withdrawal = request.GET.get("kind") == "withdraw"
    form = CashForm({"amount": request.GET.get("amount", ""), "token": str(account.public_id)})
    result, problem = None, ""
    if form.is_valid():
        amount = form.cleaned_data["amount"]
        result = pages.preview_cash_move(
            account=account,
            amount=-amount if is_withdrawal else amount,
            price_date=get_price_date(account.firm, clock.now()),
        )
        if result is None:
            problem = "The account does not hold that much cash."
    elif request.GET.get("amount"):
        problem = "Write an amount such as 1500 or 1500.00."
    context = {
        "preview": result,
        "problem": problem,
        "is_withdrawal": is_withdrawal,
        "currency": account.firm.currency,
    }
    return render(request, "rebalancer/_preview.html", context)


@require_permission(Permission.MOVE_CASH)
@require_POST
def add_need(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Announce money that must be ready by a date."""
    user = get_signed_in_user(request)
    account = get_account_for(user, public_id)
    form = CashNeedForm(request.POST, auto_id="need_%s")
    if form.is_valid():
        if form.cleaned_data["due_date"] < get_market_date(account.firm, clock.now()):
            form.add_error("due_date", "This day has passed.")
        else:
            try:
                cash_needs.add_cash_need(
                    account_id=account.pk, actor_id=user.pk, **form.cleaned_data
                )
            except Refused as error:
                form.add_error(None, str(error))
            else:
                messages.success(request, "Noted. We will have the money ready in time.")
                return redirect("rebalancer:account", public_id)
    return _render(request, user, account, {"need_form": form}, UNPROCESSABLE)


@require_permission(Permission.MOVE_CASH)
@require_POST
def settle_need(request: HttpRequest, public_id: UUID, need_id: int) -> HttpResponse:
    """Mark a cash need as met."""
    user = get_signed_in_user(request)
    account = get_account_for(user, public_id)
    if not account.cash_needs.filter(pk=need_id).exists():
        raise Http404
    try:
        cash_needs.settle_cash_need(cash_need_id=need_id, actor_id=user.pk)
    except Refused as error:
        messages.info(request, str(error))
    else:
        messages.success(request, "Settled. No more cash is kept back for it.")
    return redirect("rebalancer:account", public_id)


@require_permission(Permission.CREATE_PROPOSALS)
@require_POST
def look_now(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Look at an account at once; a proposal that follows is shown."""
    user = get_signed_in_user(request)
    account = get_account_for(user, public_id)
    try:
        check = request_check(account_id=account.pk, user_id=user.pk, now=clock.now())
    except Refused as error:
        tell_form_errors(request, {"": [str(error)]})
        return redirect("rebalancer:account", public_id)
    made = visible_proposals(user).filter(origin_check=check).order_by("-id").first()
    if made is not None:
        messages.success(request, "The account is out of band. Here is what would restore it.")
        return redirect("rebalancer:proposal", made.public_id)
    if check.status == CheckStatus.BLOCKED:
        messages.warning(request, f"The account could not be looked at: it {check.reason}.")
    elif check.status == CheckStatus.NO_TRADE:
        messages.info(request, f"Off target, but no trade would help. {check.reason}")
    else:
        messages.success(request, "The account is inside its bands. Nothing to do.")
    return redirect("rebalancer:account", public_id)
