"""The firm's texts for clients: every version, what is different, and publishing by another."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import (
    get_disclosure_for,
    get_signed_in_user,
    has_permission,
    require_permission,
)
from accounts.domain.disclosures import DEFAULT_TEXTS, DisclosureKind
from accounts.domain.permissions import Permission
from accounts.domain.text_diff import compare_texts
from accounts.forms.consents import KIND_LABELS, DisclosureForm, PublishForm
from accounts.operations import consents
from accounts.queries import consents as queries
from accounts.views.step_up import require_fresh_sign_in
from robo.common import clock
from robo.common.errors import Conflict, NotAllowed, Refused

if TYPE_CHECKING:
    from accounts.models import Disclosure

VERSIONS_A_PAGE = 50


@require_safe
@require_permission(Permission.READ_DISCLOSURES)
def disclosures(request: HttpRequest) -> HttpResponse:
    """List every version of the firm's texts, by kind."""
    user = get_signed_in_user(request)
    rows = Paginator(queries.list_disclosures(user.firm_id), VERSIONS_A_PAGE)
    today = queries.get_firm_day(user.firm, clock.now())
    context = {
        "page": rows.get_page(request.GET.get("page")),
        "today": today,
        "replaced": queries.list_replaced(user.firm_id, today),
        "missing": queries.list_unpublished_kinds(user.firm_id),
        "kinds": KIND_LABELS.items(),
        "may_write": has_permission(user, Permission.WRITE_DISCLOSURES),
    }
    return render(request, "accounts/disclosures.html", context)


@require_permission(Permission.WRITE_DISCLOSURES)
def disclosure_new(request: HttpRequest) -> HttpResponse:
    """Write the next version of a text, beginning with the last one or the one that ships."""
    user = get_signed_in_user(request)
    initial = _begin_with(user.firm_id, request.GET.get("kind", ""))
    form = DisclosureForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            row = consents.draft_disclosure(
                firm_id=user.firm_id, user_id=user.pk, **form.cleaned_data
            )
        except Refused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, "Written. Somebody else must publish it.")
            return redirect("accounts:disclosure", public_id=row.public_id)
    status = 422 if form.is_bound and form.errors else 200
    return render(request, "accounts/disclosure_new.html", {"form": form}, status=status)


def _begin_with(firm_id: int, kind: str) -> dict[str, str]:
    if kind not in list(DisclosureKind):
        return {}
    last = queries.list_disclosures(firm_id).filter(kind=kind).first()
    if last is not None:
        return {"kind": kind, "title": last.title, "text": last.text}
    shipped = DEFAULT_TEXTS[DisclosureKind(kind)]
    return {"kind": kind, "title": shipped.title, "text": shipped.write()}


@require_safe
@require_permission(Permission.READ_DISCLOSURES)
def disclosure(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Show one version, and what is different from the one before."""
    row = get_disclosure_for(get_signed_in_user(request), public_id)
    return _show_disclosure(request, row, PublishForm(), 200)


def _show_disclosure(
    request: HttpRequest, row: "Disclosure", form: PublishForm, status: int
) -> HttpResponse:
    user = get_signed_in_user(request)
    before = queries.find_version_before(row)
    today = queries.get_firm_day(row.firm, clock.now())
    may_publish = row.published_at is None and has_permission(user, Permission.PUBLISH_DISCLOSURES)
    context = {
        "disclosure": row,
        "today": today,
        "is_replaced": row.pk in queries.list_replaced(row.firm_id, today),
        "before": before,
        "diff": compare_texts(before.text, row.text) if before else [],
        "consent_count": row.consents.count(),
        "form": form,
        "may_publish": may_publish and row.author_id != user.pk,
        "is_own": may_publish and row.author_id == user.pk,
    }
    return render(request, "accounts/disclosure.html", context, status=status)


@require_POST
@require_permission(Permission.PUBLISH_DISCLOSURES)
@require_fresh_sign_in
def disclosure_publish(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Publish a text as its second person; clients are told."""
    user = get_signed_in_user(request)
    row = get_disclosure_for(user, public_id)
    form = PublishForm(request.POST)
    if not form.is_valid():
        return _show_disclosure(request, row, form, 422)
    try:
        consents.publish_disclosure(
            disclosure_id=row.pk,
            effective_date=form.cleaned_data["effective_date"],
            today=queries.get_firm_day(row.firm, clock.now()),
            user_id=user.pk,
        )
    except Refused as refusal:
        form.add_error(None, str(refusal))
        status = (
            409
            if isinstance(refusal, Conflict)
            else 403
            if isinstance(refusal, NotAllowed)
            else 422
        )
        return _show_disclosure(request, row, form, status)
    messages.success(request, "Published. Clients are told by e-mail.")
    return redirect("accounts:disclosure", public_id=public_id)
