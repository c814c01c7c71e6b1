"""People in Django's admin: households may be corrected, everything else is for looking only.

`AuditedAdmin` is for the reference data of every app: each change writes its audit entry.
"""

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from accounts import models
from accounts.access import get_signed_in_user
from accounts.operations.audit import record_audit_entry
from robo.common.admin import EITHER, FirmScopedAdmin, show_records, site


class AuditedAdmin(FirmScopedAdmin):
    """Reference data that admins may edit; row and audit entry are saved in one transaction."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Save the row and say in the journal what was changed, from what to what."""
        super().save_model(request, obj, form, change)
        detail = {
            name: [str(form.initial.get(name, "")), str(form.cleaned_data.get(name, ""))]
            for name in form.changed_data
        }
        self._record(request, obj, "changed" if change else "added", detail)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete the row and say so in the journal."""
        self._record(request, obj, "deleted", {})
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete the ticked rows, each with its own entry."""
        for row in queryset:
            self.delete_model(request, row)

    def _record(
        self, request: HttpRequest, row: Model, event: str, detail: dict[str, list[str]]
    ) -> None:
        user = get_signed_in_user(request)
        name = row._meta.verbose_name
        record_audit_entry(
            firm_id=user.firm_id,
            actor_id=user.pk,
            household_id=row.pk if isinstance(row, models.Household) else None,
            action=f"{row._meta.app_label}.{row._meta.model_name}.{event}",
            object_id=str(getattr(row, "public_id", row.pk)),
            summary=f"{str(name).capitalize()} {row} was {event}",
            detail=detail,
        )


@admin.register(models.Household, site=site)
class HouseholdAdmin(AuditedAdmin):
    """Names and taxes; a household with history is never deleted."""

    list_display = (
        "name",
        "tax_regime",
        "short_term_rate",
        "long_term_rate",
        "is_together",
        "public_id",
    )
    search_fields = ("name",)
    ordering = ("name",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return that nobody deletes households."""
        return False


show_records(
    models.Firm,
    "name",
    "currency",
    "exchange",
    "simulated_date",
    firm_path="pk",
    roles=EITHER,
)
show_records(
    models.User,
    "name",
    "email",
    "role",
    "household",
    "is_active",
    "last_login",
    related=("household",),
    search=("name", "email"),
    filters=("role", "is_active"),
    hidden=("password", "groups", "user_permissions", "is_superuser"),
    roles=EITHER,
)
show_records(
    models.AdvisorAssignment,
    "household",
    "advisor",
    "is_lead",
    firm_path="household__firm",
    related=("household", "advisor"),
    search=("household__name", "advisor__name"),
    filters=("is_lead",),
    roles=EITHER,
)
show_records(
    models.Account,
    "name",
    "household",
    "custodian",
    "number",
    "tax_status",
    "is_open",
    related=("household",),
    search=("name", "number", "household__name"),
    filters=("tax_status", "is_discretionary", "is_open"),
    roles=EITHER,
)
show_records(
    models.CashNeed,
    "account",
    "amount",
    "due_date",
    "purpose",
    "is_settled",
    firm_path="account__firm",
    related=("account__household",),
    filters=("is_settled",),
)
show_records(
    models.RiskProfile,
    "household",
    "version",
    "score",
    "willingness",
    "capacity",
    "answered_at",
    firm_path="household__firm",
    related=("household",),
    search=("household__name",),
    roles=EITHER,
)
show_records(
    models.Wish,
    "household",
    "kind",
    "subject",
    "recorded_at",
    "ended_at",
    firm_path="household__firm",
    related=("household",),
    search=("household__name", "subject"),
    filters=("kind",),
)
show_records(
    models.AuditEntry,
    "recorded_at",
    "actor",
    "action",
    "household",
    "summary",
    related=("actor", "household"),
    search=("summary", "action", "object_id"),
    roles=EITHER,
)
