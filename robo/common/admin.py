"""Django's admin, made safe for several firms: rows, choices and actions end at one's own firm.

Every model says by which path it leads to its firm (`firm_path`) and which roles see it (`roles`):
the firm's admins its reference data, its supervisors the clients' records. There are no permission
rows to get wrong.
"""

from typing import TYPE_CHECKING, Any, ClassVar, cast

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Any]
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelForm = forms.ModelForm
    ModelAdmin = admin.ModelAdmin

ADMIN, SUPERVISOR = "ADMIN", "SUPERVISOR"
EITHER = (ADMIN, SUPERVISOR)


def has_role(request: HttpRequest, roles: tuple[str, ...]) -> bool:
    """Return whether the person is active and has one of these roles."""
    user: Any = request.user
    return bool(user.is_authenticated and user.is_active and user.role in roles)


class EvenkeelAdminSite(admin.AdminSite):
    """The admin behind our own sign-in; but for admins and supervisors it is not there."""

    site_header = "Evenkeel administration"
    site_title = "Evenkeel"
    index_title = "Reference data and records"
    site_url = "/"

    def has_permission(self, request: HttpRequest) -> bool:
        """Return whether this person may enter."""
        if request.user.is_authenticated and not has_role(request, EITHER):
            raise Http404
        return has_role(request, EITHER)

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Send people to the one place where they sign in, which slows down guessing."""
        if request.user.is_authenticated and not has_role(request, EITHER):
            raise Http404
        wanted = request.GET.get("next", reverse("admin:index"))
        return redirect(f"{reverse('accounts:sign_in')}?{urlencode({'next': wanted})}")

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Sign out as everywhere else: the form is sent on, as it is."""
        return redirect("accounts:sign_out", preserve_request=True)

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Lead to the product's own page, which writes the journal."""
        return redirect("accounts:password")


site = EvenkeelAdminSite()


class FirmForm(ModelForm):
    """A form whose row belongs to the admin's firm before it is checked, uniqueness included."""

    firm: ClassVar[Any] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if hasattr(self.instance, "firm_id") and self.instance.firm_id is None:
            self.instance.firm = self.firm

    def _get_validation_exclusions(self) -> set[str]:
        # Django leaves out of the checks what is not on the form; a name unique within the firm
        # would then fail in the database, as an error page.
        return super()._get_validation_exclusions() - {"firm"}  # type: ignore[misc,no-any-return]


class FirmScopedAdmin(ModelAdmin):
    """Shows and offers only what belongs to one's own firm, and to those roles only."""

    firm_path = "firm"
    roles: tuple[str, ...] = (ADMIN,)
    form = FirmForm
    list_per_page = 50
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the firm's rows; lists, pages, actions and look-ups all begin here."""
        if not has_role(request, self.roles):
            return super().get_queryset(request).none()
        user: Any = request.user
        return super().get_queryset(request).filter(**{self.firm_path: user.firm_id})

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Return the fields that nobody types: the firm is always one's own."""
        exclude = tuple(super().get_exclude(request, obj) or ())
        return (*exclude, "firm") if self.firm_path == "firm" else exclude

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: Any = None, **kwargs: Any
    ) -> Any:
        """Return the form class of this request, which knows the firm."""
        form = super().get_form(request, obj, change, **kwargs)
        user: Any = request.user
        return type(form.__name__, (form,), {"firm": user.firm})

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer the firm's own rows only; what is not in this admin is not offered at all."""
        offered = self.admin_site._registry.get(cast(type[Model], db_field.related_model))
        if isinstance(offered, FirmScopedAdmin):
            kwargs["queryset"] = offered.get_queryset(request)
        else:
            kwargs["queryset"] = db_field.related_model._default_manager.none()
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Return whether this person sees the app at all."""
        return has_role(request, self.roles)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may look."""
        return has_role(request, self.roles)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may add a row."""
        return has_role(request, self.roles)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may change a row."""
        return has_role(request, self.roles)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may delete a row."""
        return has_role(request, self.roles)


class ReadOnlyAdmin(FirmScopedAdmin):
    """For looking only: what happened is not edited; what has its own pages is edited there."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return that nobody adds rows here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return that nobody changes rows here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return that nobody deletes rows here."""
        return False


def show_records(
    model: type[Model],
    *columns: str,
    firm_path: str = "firm",
    roles: tuple[str, ...] = (SUPERVISOR,),
    related: tuple[str, ...] = (),
    search: tuple[str, ...] = (),
    filters: tuple[str, ...] = (),
    hidden: tuple[str, ...] = (),
) -> None:
    """Register a model for looking only; for supervisors, unless said otherwise.

    `filters` must not name foreign keys: Django would list every firm's rows as choices.
    """
    settings = {
        "firm_path": firm_path,
        "roles": roles,
        "list_display": columns,
        "list_select_related": related or False,
        "search_fields": search,
        "list_filter": filters,
        "exclude": hidden,
        "ordering": ("-pk",),
    }
    site.register(model, type(f"{model.__name__}Admin", (ReadOnlyAdmin,), settings))
