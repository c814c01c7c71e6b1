"""The journal as CSV, for those who may read it on the page."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from accounts.access import get_signed_in_user, require_permission, visible_audit_entries
from accounts.domain.permissions import Permission
from accounts.domain.roles import Role
from accounts.forms import JournalForm
from accounts.queries.journal import narrow_entries
from robo.common.csv_export import ExportTooLong, answer_csv

HEADER = ("When", "What", "Who", "Household", "Action", "Object")


@require_safe
@require_permission(Permission.READ_JOURNAL)
def export_journal(request: HttpRequest) -> HttpResponse:
    """Answer the entries of the page's filter as CSV, newest first; clients get words only."""
    user = get_signed_in_user(request)
    form = JournalForm(request.GET)
    wanted = form.cleaned_data if form.is_valid() else {}
    entries = narrow_entries(visible_audit_entries(user), **wanted)
    columns = 3 if user.role == Role.CLIENT else len(HEADER)
    try:
        return answer_csv(
            file_name="journal.csv",
            header=HEADER[:columns],
            rows=(
                (
                    entry.recorded_at,
                    entry.summary,
                    entry.actor.name,
                    entry.household.name if entry.household else "",
                    entry.action,
                    entry.object_id,
                )[:columns]
                for entry in entries.iterator(chunk_size=2_000)
            ),
        )
    except ExportTooLong as refusal:
        messages.error(request, str(refusal))
        return redirect("accounts:journal")
