"""Facts in Django's admin: classifications may be corrected; prices, models and books never."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from accounts.admin import AuditedAdmin
from portfolios import models
from robo.common.admin import EITHER, show_records, site


@admin.register(models.AssetClass, site=site)
class AssetClassAdmin(AuditedAdmin):
    """What a security stands for in a model."""

    list_display = ("name", "code", "rank", "is_unclassified")
    search_fields = ("name", "code")
    ordering = ("rank", "name")


@admin.register(models.Security, site=site)
class SecurityAdmin(AuditedAdmin):
    """Classification and trading facts; a security is never deleted, only set inactive."""

    list_display = ("symbol", "name", "asset_class", "share_step", "half_spread_bps", "is_active")
    list_select_related = ("asset_class",)
    search_fields = ("symbol", "name")
    list_filter = ("is_active",)
    # A list of words, which the product's own page reads; a text box for JSON invites mistakes.
    readonly_fields = ("themes",)
    ordering = ("symbol",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return that nobody deletes securities."""
        return False


@admin.register(models.Substitute, site=site)
class SubstituteAdmin(AuditedAdmin):
    """What may be bought in place of what."""

    firm_path = "security__firm"
    list_display = ("security", "substitute", "rank", "used_in")
    list_select_related = ("security", "substitute")
    search_fields = ("security__symbol", "substitute__symbol")
    ordering = ("security__symbol", "rank")


@admin.register(models.RiskMapping, site=site)
class RiskMappingAdmin(AuditedAdmin):
    """Which model a risk score leads to."""

    list_display = ("score", "model")
    list_select_related = ("model",)
    ordering = ("score",)


show_records(
    models.ModelPortfolio,
    "name",
    "description",
    search=("name",),
    roles=EITHER,
)
show_records(
    models.ModelVersion,
    "model",
    "number",
    "status",
    "author",
    "publisher",
    "published_at",
    firm_path="model__firm",
    related=("model", "author", "publisher"),
    search=("model__name",),
    filters=("status",),
    roles=EITHER,
)
show_records(
    models.ModelWeight,
    "version",
    "security",
    "weight",
    firm_path="version__model__firm",
    related=("version__model", "security"),
    search=("version__model__name", "security__symbol"),
    roles=EITHER,
)
show_records(
    models.ModelAssignment,
    "account",
    "model",
    firm_path="account__firm",
    related=("account__household", "model"),
    search=("account__name", "model__name"),
    roles=EITHER,
)
show_records(
    models.Price,
    "security",
    "price_date",
    "price",
    "source",
    "recorded_at",
    firm_path="security__firm",
    related=("security",),
    search=("=security__symbol",),
    roles=EITHER,
)
show_records(
    models.RefusedPrice,
    "symbol",
    "price_date",
    "quoted",
    "reason",
    "source",
    search=("symbol",),
    filters=("reason",),
    roles=EITHER,
)
show_records(
    models.CashBalance,
    "account",
    "amount",
    "books_version",
    firm_path="account__firm",
    related=("account__household",),
    search=("account__name", "account__number"),
)
show_records(
    models.Holding,
    "account",
    "security",
    "quantity",
    firm_path="account__firm",
    related=("account__household", "security"),
    search=("account__name", "=security__symbol"),
)
show_records(
    models.JournalEntry,
    "account",
    "kind",
    "entry_date",
    "memo",
    "recorded_at",
    firm_path="account__firm",
    related=("account__household",),
    search=("account__name", "source", "memo"),
    filters=("kind",),
)
show_records(
    models.Transfer,
    "entry",
    "source_pocket",
    "target_pocket",
    "quantity",
    "currency",
    "security",
    firm_path="entry__account__firm",
    related=("entry", "security"),
    filters=("source_pocket", "target_pocket"),
)
show_records(
    models.Lot,
    "account",
    "security",
    "acquired_date",
    "opened_quantity",
    "quantity",
    "cost",
    firm_path="account__firm",
    related=("account__household", "security"),
    search=("account__name", "=security__symbol"),
)
show_records(
    models.Disposal,
    "entry",
    "lot",
    firm_path="entry__account__firm",
    related=("entry", "lot__security"),
)
show_records(
    models.StatementImport,
    "broker",
    "file_name",
    "imported_by",
    "imported_at",
    related=("imported_by",),
    search=("file_name",),
    roles=EITHER,
)
