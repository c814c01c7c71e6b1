"""Importing broker statements: upload, preview of what would be booked, confirmation."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts.access import get_signed_in_user, known_households, require_permission
from accounts.domain.permissions import Permission
from portfolios.access import list_importable_account_ids
from portfolios.domain.import_plan import ImportPlan, ImportTerms
from portfolios.forms import ImportTermsForm, UploadForm
from portfolios.operations.statements import ImportRefused, apply_import
from portfolios.queries.books import get_market_date
from portfolios.queries.statements import list_imports, plan_import
from portfolios.statements import StatementUnreadable, read_statement
from portfolios.views.posting import REFUSED_STATUS, get_posted, get_status
from portfolios.views.uploads import HeldUpload, drop_upload, find_upload, hold_upload
from robo.common import clock
from robo.common.errors import Refused

if TYPE_CHECKING:
    from accounts.models import User

KIND = "positions"
IMPORTS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Preview:
    """A readable upload with the terms chosen and what they would do."""

    upload: HeldUpload
    form: ImportTermsForm
    terms: ImportTerms
    plan: ImportPlan


@require_permission(Permission.WRITE_IMPORTS)
def upload_positions(request: HttpRequest) -> HttpResponse:
    """Take a broker's statement and go on to its preview."""
    user = get_signed_in_user(request)
    form = UploadForm(get_posted(request), request.FILES if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        sha256 = hold_upload(kind=KIND, user_id=user.pk, file=form.cleaned_data["file"])
        upload = find_upload(kind=KIND, user_id=user.pk, sha256=sha256)
        try:
            if upload is not None:
                read_statement(upload.content, upload.file_name)
        except StatementUnreadable as error:
            drop_upload(kind=KIND, user_id=user.pk, sha256=sha256)
            form.add_error("file", str(error))
        else:
            return redirect("portfolios:import_positions_preview", sha256)
    imports = list_imports(user.firm_id)[:IMPORTS_SHOWN]
    context = {"form": form, "imports": imports}
    return render(request, "portfolios/import_positions.html", context, status=get_status(form))


@require_permission(Permission.WRITE_IMPORTS)
def preview_positions(request: HttpRequest, sha256: str) -> HttpResponse:
    """Show what importing an uploaded statement would do, and do it when told to."""
    user = get_signed_in_user(request)
    upload = find_upload(kind=KIND, user_id=user.pk, sha256=sha256)
    if upload is None:
        messages.warning(request, "This upload is no longer held. Choose the file once more.")
        return redirect("portfolios:import_positions")
    preview = _preview(request, user, upload)
    if request.method == "POST":
        return _import(request, user, preview)
    return _show(request, preview)


def _preview(request: HttpRequest, user: "User", upload: HeldUpload) -> Preview:
    households = {str(row.public_id): row for row in known_households(user).order_by("name")}
    form = ImportTermsForm(
        request.POST if request.method == "POST" else request.GET,
        households=[(key, row.name) for key, row in households.items()],
    )
    is_valid = form.is_valid()
    household = households.get(form.cleaned_data.get("household", ""))
    terms = ImportTerms(
        market_date=get_market_date(user.firm, clock.now()),
        household_id=household.pk if household else None,
        create_missing=bool(form.cleaned_data.get("create_missing")),
        tax_status=form.chosen_tax_status if is_valid else None,
    )
    statement = read_statement(upload.content, upload.file_name)
    plan = plan_import(
        firm_id=user.firm_id,
        statement=statement,
        terms=terms,
        account_ids=list_importable_account_ids(user, statement),
    )
    return Preview(upload, form, terms, plan)


def _show(request: HttpRequest, preview: Preview, status: int = 200) -> HttpResponse:
    context = {"upload": preview.upload, "form": preview.form, "plan": preview.plan}
    return render(request, "portfolios/import_positions_preview.html", context, status=status)


def _import(request: HttpRequest, user: "User", preview: Preview) -> HttpResponse:
    if not preview.form.is_valid():
        return _show(request, preview, REFUSED_STATUS)
    statement = read_statement(preview.upload.content, preview.upload.file_name)
    try:
        plan = apply_import(
            firm_id=user.firm_id,
            statement=statement,
            file_name=preview.upload.file_name,
            terms=preview.terms,
            actor_id=user.pk,
            account_ids=list_importable_account_ids(user, statement),
            fingerprint=request.POST.get("fingerprint", ""),
        )
    except ImportRefused:
        return _show(request, preview, REFUSED_STATUS)
    except Refused as error:
        messages.warning(request, str(error))
        return _show(request, preview, 409)
    drop_upload(kind=KIND, user_id=user.pk, sha256=preview.upload.sha256)
    messages.success(request, _said(plan))
    return redirect(reverse("portfolios:import_positions"))


def _said(plan: ImportPlan) -> str:
    if plan.imported_before:
        return "This file was imported before; nothing has changed."
    count = sum(account.state != "UNCHANGED" for account in plan.accounts)
    noun = "account" if count == 1 else "accounts"
    return f"Imported the {plan.broker} statement of {plan.as_of}: {count} {noun} taken on."
