"""The journal: who did what, when and why; for clients, what was done for them in plain words."""

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import (
    get_signed_in_user,
    has_permission,
    require_permission,
    visible_audit_entries,
)
from accounts.domain.permissions import Permission
from accounts.domain.roles import Role
from accounts.forms import JournalForm
from accounts.queries.journal import narrow_entries

ENTRIES_A_PAGE = 50


@require_safe
@require_permission(Permission.READ_JOURNAL)
def journal(request: HttpRequest) -> HttpResponse:
    """List what this person may read, newest first."""
    user = get_signed_in_user(request)
    form = JournalForm(request.GET)
    # A filter that cannot be read is shown with its error, and filters nothing.
    wanted = form.cleaned_data if form.is_valid() else {}
    entries = narrow_entries(visible_audit_entries(user), **wanted)
    context = {
        "form": form,
        "page": Paginator(entries, ENTRIES_A_PAGE).get_page(request.GET.get("page")),
        "is_filtered": any(wanted.values()),
        "may_verify": has_permission(user, Permission.VERIFY_JOURNAL),
    }
    template = "client_journal" if user.role == Role.CLIENT else "journal"
    return render(request, f"accounts/{template}.html", context)
