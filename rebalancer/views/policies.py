"""Policies: the list, one policy with its rule in words, editing, and who follows it."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import (
    check_permission,
    get_signed_in_user,
    has_permission,
    known_accounts,
    require_permission,
)
from accounts.domain.permissions import Permission
from rebalancer.access import get_policy_for, visible_policies
from rebalancer.forms import AssignForm
from rebalancer.forms.policies import PolicyForm, fill_policy_form
from rebalancer.operations import policies as operations
from rebalancer.queries.books import describe_policy
from rebalancer.queries.pages import policies as pages
from rebalancer.views.answers import (
    UNPROCESSABLE,
    get_page,
    get_price_date,
    get_search,
    tell_form_errors,
)
from robo.common import clock
from robo.common.errors import Refused

if TYPE_CHECKING:
    from accounts.models import User
    from rebalancer.models import Policy

PAGE_SIZE = 50


@require_permission(Permission.READ_POLICIES)
@require_safe
def list_policies(request: HttpRequest) -> HttpResponse:
    """Show the firm's policies, each with its rule in words."""
    user = get_signed_in_user(request)
    lines = pages.list_policies(
        policies=visible_policies(user),
        firm=user.firm,
        after=get_price_date(user.firm, clock.now()),
    )
    context = {"lines": lines, "may_edit": has_permission(user, Permission.WRITE_POLICIES)}
    return render(request, "rebalancer/policies.html", context)


@require_permission(Permission.WRITE_POLICIES)
@require_http_methods(["GET", "HEAD", "POST"])
def add_policy(request: HttpRequest) -> HttpResponse:
    """Add a policy."""
    user = get_signed_in_user(request)
    initial = fill_policy_form(pages.get_default_terms(), name="", is_active=True)
    return _edit(request, user, None, initial)


@require_permission(Permission.READ_POLICIES)
@require_http_methods(["GET", "HEAD", "POST"])
def show_policy(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Show a policy; an admin may change it here."""
    user = get_signed_in_user(request)
    if request.method == "POST":
        check_permission(user, Permission.WRITE_POLICIES)
    policy = get_policy_for(user, public_id)
    initial = fill_policy_form(
        describe_policy(policy), name=policy.name, is_active=policy.is_active
    )
    return _edit(request, user, policy, initial)


def _edit(
    request: HttpRequest, user: "User", policy: "Policy | None", initial: dict[str, Any]
) -> HttpResponse:
    form = PolicyForm(request.POST if request.method == "POST" else None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            saved = operations.save_policy(
                policy_id=policy.pk if policy else None,
                firm_id=user.firm_id,
                user_id=user.pk,
                values=form.cleaned_data,
            )
        except Refused as error:
            form.add_error(None, str(error))
        else:
            messages.success(
                request,
                f"{saved.name} is saved. Proposals made under its old terms must be made again."
                if policy
                else f"{saved.name} is ready. Choose the accounts that follow it.",
            )
            return redirect("rebalancer:policy", saved.public_id)
    search = get_search(request)
    context: dict[str, Any] = {
        "policy": policy,
        "form": form,
        "may_edit": has_permission(user, Permission.WRITE_POLICIES),
        "search": search,
        **_explain(user, describe_policy(policy) if policy else pages.get_default_terms()),
    }
    if policy is not None:
        rows = pages.list_candidates(accounts=known_accounts(user), search=search)
        page = get_page(request, rows, PAGE_SIZE)
        context["page"] = page
        context["followers"] = pages.describe_followers(list(page), policy)
        context["follower_count"] = pages.count_followers(policy)
    status = UNPROCESSABLE if form.errors else 200
    return render(request, "rebalancer/policy.html", context, status=status)


def _explain(user: "User", terms: Any) -> dict[str, Any]:
    sentence, next_looks = pages.explain_terms(
        terms=terms, firm=user.firm, after=get_price_date(user.firm, clock.now())
    )
    return {"sentence": sentence, "next_looks": next_looks}


@require_permission(Permission.WRITE_POLICIES)
@require_POST
def explain_policy(request: HttpRequest) -> HttpResponse:
    """Answer what the rule in the form would mean; nothing is saved."""
    user = get_signed_in_user(request)
    form = PolicyForm(request.POST)
    context: dict[str, Any] = {"form": form}
    # The name says nothing about the rule: it may still be missing.
    if not set(form.errors) - {"name"}:
        context |= _explain(user, form.read_terms())
    return render(request, "rebalancer/_policy_sentence.html", context)


@require_permission(Permission.WRITE_POLICIES)
@require_POST
def assign_policy(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Make accounts follow a policy."""
    user = get_signed_in_user(request)
    policy = get_policy_for(user, public_id)
    accounts = dict(known_accounts(user).filter(is_open=True).values_list("public_id", "pk"))
    form = AssignForm(request.POST, account_ids=list(accounts))
    if not form.is_valid():
        tell_form_errors(request, form.errors)
        return redirect("rebalancer:policy", public_id)
    chosen = [accounts[UUID(account_id)] for account_id in form.cleaned_data["account"]]
    try:
        operations.assign_policy(account_ids=chosen, policy_id=policy.pk, user_id=user.pk)
    except Refused as error:
        messages.error(request, str(error))
    else:
        noun = "account follows" if len(chosen) == 1 else "accounts follow"
        messages.success(request, f"{len(chosen)} {noun} {policy.name} now.")
    return redirect("rebalancer:policy", public_id)
