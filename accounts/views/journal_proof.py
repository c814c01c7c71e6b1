"""How the journal stands: sealed, waiting, signed; and the release of a restored database."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import get_signed_in_user, require_permission
from accounts.domain.permissions import Permission
from accounts.forms import ReleaseForm
from accounts.operations import installation
from accounts.queries.installation import find_look_only
from accounts.queries.journal_status import load_status
from accounts.views.step_up import require_fresh_sign_in
from robo.common import clock
from robo.common.errors import Refused


@require_safe
@require_permission(Permission.VERIFY_JOURNAL)
def show_journal_proof(request: HttpRequest) -> HttpResponse:
    """Show how far the chain and its checkpoints have come, and what somebody must look at."""
    return _render(request, ReleaseForm(), 200)


def _render(request: HttpRequest, form: ReleaseForm, status: int) -> HttpResponse:
    user = get_signed_in_user(request)
    context = {
        "form": form,
        "status": load_status(user.firm, clock.database_now()),
        "stop": find_look_only(user.firm_id),
    }
    return render(request, "accounts/journal_proof.html", context, status=status)


@require_POST
@require_permission(Permission.VERIFY_JOURNAL)
@require_fresh_sign_in
def release_ask(request: HttpRequest) -> HttpResponse:
    """Ask for the end of look-only, saying how the broker was compared."""
    user = get_signed_in_user(request)
    form = ReleaseForm(request.POST)
    if form.is_valid():
        try:
            installation.ask_release(
                firm_id=user.firm_id, user_id=user.pk, note=form.cleaned_data["note"]
            )
        except Refused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, "Asked. A second person has to confirm it.")
            return redirect("accounts:journal_proof")
    return _render(request, form, 422)


@require_POST
@require_permission(Permission.VERIFY_JOURNAL)
@require_fresh_sign_in
def release_confirm(request: HttpRequest) -> HttpResponse:
    """End look-only, as the second person."""
    user = get_signed_in_user(request)
    try:
        installation.release_look_only(firm_id=user.firm_id, user_id=user.pk)
    except Refused as refusal:
        form = ReleaseForm({"note": "-"})
        form.is_valid()
        form.add_error(None, str(refusal))
        return _render(request, form, 409)
    messages.success(request, "Released. Orders go again once the next checkpoint is signed.")
    return redirect("accounts:journal_proof")
