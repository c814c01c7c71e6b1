"""Every read of securities: the firm's list, its asset classes and themes, who uses a security."""

from django.db.models import Count, Q, QuerySet

from portfolios import models
from portfolios.domain.kinds import ModelStatus
from portfolios.domain.model_lifecycle import IN_WORK


def list_securities(
    firm_id: int, *, text: str = "", asset_class_id: int | None = None, only_active: bool = True
) -> "QuerySet[models.Security]":
    """Return the firm's securities whose symbol or name contains `text`, by class and symbol."""
    rows = models.Security.objects.filter(firm_id=firm_id).select_related("asset_class")
    if text:
        rows = rows.filter(Q(symbol__icontains=text) | Q(name__icontains=text))
    if asset_class_id is not None:
        rows = rows.filter(asset_class_id=asset_class_id)
    if only_active:
        rows = rows.filter(is_active=True)
    return rows.order_by("asset_class__rank", "asset_class__name", "symbol")


def list_model_securities(firm_id: int, also_ids: list[int] | None = None) -> list[models.Security]:
    """Return what a model may hold: active and classified, and the ids it holds already."""
    return list(
        models.Security.objects.filter(firm_id=firm_id)
        .filter(Q(is_active=True, asset_class__is_unclassified=False) | Q(pk__in=also_ids or []))
        .select_related("asset_class")
        .order_by("asset_class__rank", "asset_class__name", "symbol")
    )


def list_asset_classes(firm_id: int) -> list[models.AssetClass]:
    """Return the firm's asset classes in their order, with `security_count`."""
    return list(
        models.AssetClass.objects.filter(firm_id=firm_id)
        .annotate(security_count=Count("securities"))
        .order_by("rank", "name")
    )


def list_symbols(firm_id: int) -> dict[str, int]:
    """Return the ids of all the firm's securities by symbol."""
    return dict(
        models.Security.objects.filter(firm_id=firm_id)
        .order_by("symbol")
        .values_list("symbol", "id")
    )


def list_themes(firm_id: int) -> list[str]:
    """Return every theme that one of the firm's securities carries, in order."""
    carried = models.Security.objects.filter(firm_id=firm_id).values_list("themes", flat=True)
    return sorted({theme for themes in carried for theme in themes})


def list_groupings(firm_id: int) -> dict[str, set[str]]:
    """Return every asset class, sector, issuer and symbol by what it is ("asset_class", …)."""
    names: dict[str, set[str]] = {"asset_class": set(), "sector": set(), "issuer": set()}
    names["security"] = set()
    for class_name, sector, issuer, symbol in models.Security.objects.filter(
        firm_id=firm_id
    ).values_list("asset_class__name", "sector", "issuer", "symbol"):
        for kind, name in zip(names, (class_name, sector, issuer, symbol), strict=True):
            if name:
                names[kind].add(name)
    return names


def list_substitutes(security_id: int) -> list[models.Substitute]:
    """Return what may be bought in place of a security, best first, and in which accounts."""
    return list(
        models.Substitute.objects.filter(security_id=security_id)
        .select_related("substitute")
        .order_by("rank", "pk")
    )


def list_models_using(security_id: int) -> list[models.ModelWeight]:
    """Return where a security has a weight in a version that is in force or in work."""
    return list(
        models.ModelWeight.objects.filter(
            security_id=security_id, version__status__in=[ModelStatus.PUBLISHED, *IN_WORK]
        )
        .select_related("version__model")
        .order_by("version__model__name", "-version__number")
    )
