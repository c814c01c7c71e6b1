"""Pages of securities: the firm's list, one with its price history, adding and changing."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from accounts.access import get_signed_in_user, require_permission
from accounts.domain.permissions import Permission
from portfolios.access import get_security_for
from portfolios.domain.kinds import SubstituteUse
from portfolios.forms import SecurityFilterForm, SecurityForm
from portfolios.operations import securities as operations
from portfolios.queries import securities as queries
from portfolios.queries.books import get_market_date
from portfolios.queries.prices import list_price_history
from portfolios.views.posting import get_posted, get_status
from robo.common import clock
from robo.common.errors import Refused

ROWS_PER_PAGE = 50
SUBSTITUTE_FIELDS = {
    "substitutes": SubstituteUse.ANY,
    "taxable_substitutes": SubstituteUse.TAXABLE,
    "sheltered_substitutes": SubstituteUse.SHELTERED,
}
# Calendar days of history to choose from.
SPANS = {"1y": ("1 year", 366), "5y": ("5 years", 5 * 366), "all": ("All", 200 * 366)}


def _class_choices(firm_id: int) -> list[tuple[str, str]]:
    return [(str(row.pk), row.name) for row in queries.list_asset_classes(firm_id)]


@require_permission(Permission.READ_SECURITIES)
@require_safe
def list_securities(request: HttpRequest) -> HttpResponse:
    """Show the firm's securities, narrowed by what was typed."""
    firm_id = get_signed_in_user(request).firm_id
    form = SecurityFilterForm(request.GET, asset_classes=_class_choices(firm_id))
    cleaned = form.cleaned_data if form.is_valid() else {}
    rows = queries.list_securities(
        firm_id,
        text=cleaned.get("text", ""),
        asset_class_id=cleaned.get("asset_class"),
        only_active=not cleaned.get("all"),
    )
    page = Paginator(rows, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "portfolios/securities.html", {"form": form, "page": page})


@require_permission(Permission.READ_SECURITIES)
@require_safe
def show_security(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Show a security: its classification, prices over time, and the models that use it."""
    user = get_signed_in_user(request)
    security = get_security_for(user, public_id)
    span = request.GET.get("span", "1y")
    span = span if span in SPANS else "1y"
    market_date = get_market_date(user.firm, clock.now())
    since = market_date - timedelta(days=SPANS[span][1])
    history = list_price_history(security.pk, since=since)
    return render(
        request,
        "portfolios/security.html",
        {
            "security": security,
            "substitutes": queries.list_substitutes(security.pk),
            "weights": queries.list_models_using(security.pk),
            "latest": history[-1] if history else None,
            "age_days": (market_date - history[-1][0]).days if history else None,
            "age_days_max": user.firm.price_age_days_max,
            "span": span,
            "spans": [(key, label) for key, (label, _days) in SPANS.items()],
            "chart": {
                "dates": [day for day, _price in history],
                "values": [price for _day, price in history],
                "currency": user.firm.currency,
            },
        },
    )


@require_permission(Permission.WRITE_SECURITIES)
def create_security(request: HttpRequest) -> HttpResponse:
    """Add a security to the firm's list."""
    user = get_signed_in_user(request)
    form = _form(request, user.firm_id)
    if request.method == "POST" and form.is_valid():
        try:
            operations.create_security(
                firm_id=user.firm_id, details=_details(form), actor_id=user.pk
            )
        except Refused as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{form.cleaned_data['symbol']} is on your list.")
            return redirect("portfolios:securities")
    return render(request, "portfolios/security_edit.html", {"form": form}, status=get_status(form))


@require_permission(Permission.WRITE_SECURITIES)
def edit_security(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Change what the firm says about a security."""
    user = get_signed_in_user(request)
    security = get_security_for(user, public_id)
    substitutes = queries.list_substitutes(security.pk)
    form = _form(
        request,
        user.firm_id,
        {
            "symbol": security.symbol,
            "name": security.name,
            "asset_class": security.asset_class_id,
            "share_step": _trimmed(security.share_step),
            "half_spread_bps": _trimmed(security.half_spread_bps),
            "themes": ", ".join(security.themes),
            **{
                name: ", ".join(
                    row.substitute.symbol for row in substitutes if row.used_in == used_in
                )
                for name, used_in in SUBSTITUTE_FIELDS.items()
            },
            "identical_group": security.identical_group,
            "sector": security.sector,
            "issuer": security.issuer,
            "daily_volume": None
            if security.daily_volume is None
            else _trimmed(security.daily_volume),
            # Fractions, which their fields show in percent.
            "volatility": security.volatility,
            "qualified_yield": security.qualified_yield,
            "ordinary_yield": security.ordinary_yield,
            "is_active": security.is_active,
        },
    )
    # A disabled field keeps its initial value, whatever is posted.
    form.fields["symbol"].disabled = True
    if request.method == "POST" and form.is_valid():
        try:
            operations.change_security(
                security_id=security.pk, details=_details(form), actor_id=user.pk
            )
        except Refused as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{security.symbol} is changed.")
            return redirect("portfolios:security", public_id)
    context = {"form": form, "security": security}
    return render(request, "portfolios/security_edit.html", context, status=get_status(form))


def _form(
    request: HttpRequest, firm_id: int, initial: dict[str, object] | None = None
) -> SecurityForm:
    return SecurityForm(
        get_posted(request),
        asset_classes=_class_choices(firm_id),
        symbols=queries.list_symbols(firm_id),
        initial=initial,
    )


def _details(form: SecurityForm) -> operations.SecurityDetails:
    cleaned = form.cleaned_data
    return operations.SecurityDetails(
        symbol=cleaned["symbol"],
        name=cleaned["name"],
        asset_class_id=cleaned["asset_class"],
        share_step=cleaned["share_step"],
        half_spread_bps=cleaned["half_spread_bps"],
        themes=cleaned["themes"],
        substitute_ids=cleaned["substitutes"],
        taxable_substitute_ids=cleaned["taxable_substitutes"],
        sheltered_substitute_ids=cleaned["sheltered_substitutes"],
        identical_group=cleaned["identical_group"],
        sector=cleaned["sector"],
        issuer=cleaned["issuer"],
        daily_volume=cleaned["daily_volume"],
        volatility=cleaned["volatility"],
        qualified_yield=cleaned["qualified_yield"],
        ordinary_yield=cleaned["ordinary_yield"],
        is_active=cleaned["is_active"],
    )


def _trimmed(value: Decimal) -> str:
    return f"{value.normalize():f}"
