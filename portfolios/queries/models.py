"""Every read of model portfolios: the list, versions, targets by asset class, risk mapping."""

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count, OuterRef, QuerySet, Subquery

from portfolios import models
from portfolios.domain.kinds import ModelStatus
from portfolios.domain.model_lifecycle import IN_WORK
from portfolios.domain.money import ZERO


@dataclass(frozen=True, slots=True)
class TargetRow:
    """One security of a version beside the version in force; weights are fractions."""

    security: models.Security
    weight: Decimal
    weight_in_force: Decimal

    @property
    def change(self) -> Decimal:
        """Return what publishing would change."""
        return self.weight - self.weight_in_force


def list_models(firm_id: int) -> "QuerySet[models.ModelPortfolio]":
    """Return the firm's models with what is in force, what is in work, and how many follow."""
    versions = models.ModelVersion.objects.filter(model=OuterRef("pk"))
    published = versions.filter(status=ModelStatus.PUBLISHED)
    return (
        models.ModelPortfolio.objects.filter(firm_id=firm_id)
        .annotate(
            published_number=Subquery(published.values("number")[:1]),
            published_at=Subquery(published.values("published_at")[:1]),
            work_number=Subquery(versions.filter(status__in=IN_WORK).values("number")[:1]),
            work_status=Subquery(versions.filter(status__in=IN_WORK).values("status")[:1]),
            followers=Count("assignments"),
        )
        .order_by("name")
    )


def list_published_models(firm_id: int) -> list[models.ModelPortfolio]:
    """Return the firm's models that an account can follow."""
    return list(
        models.ModelPortfolio.objects.filter(
            firm_id=firm_id, versions__status=ModelStatus.PUBLISHED
        ).order_by("name")
    )


def list_versions(model_id: int) -> list[models.ModelVersion]:
    """Return a model's versions with their people, newest first."""
    return list(
        models.ModelVersion.objects.filter(model_id=model_id)
        .select_related("author", "publisher")
        .order_by("-number")
    )


def count_followers(model_id: int) -> int:
    """Return how many accounts follow a model."""
    return models.ModelAssignment.objects.filter(model_id=model_id).count()


def list_targets(version: models.ModelVersion) -> list[TargetRow]:
    """Return a version's weights beside those in force, by asset class; dropped securities last."""
    weights = {
        row.security_id: row
        for row in version.weights.select_related("security__asset_class").order_by("pk")
    }
    in_force = {
        row.security_id: row
        for row in models.ModelWeight.objects.filter(
            version__model_id=version.model_id, version__status=ModelStatus.PUBLISHED
        ).select_related("security__asset_class")
    }
    rows = [
        TargetRow(
            security=(weights.get(key) or in_force[key]).security,
            weight=weights[key].weight if key in weights else ZERO,
            weight_in_force=in_force[key].weight if key in in_force else ZERO,
        )
        for key in weights | in_force
    ]
    return sorted(rows, key=_by_class)


def _by_class(row: TargetRow) -> tuple[bool, int, str, str]:
    asset_class = row.security.asset_class
    return not row.weight, asset_class.rank, asset_class.name, row.security.symbol


def sum_by_class(rows: list[TargetRow], cash_weight: Decimal) -> list[tuple[str, Decimal]]:
    """Return (asset class, target weight) in the order of `rows`, cash last."""
    totals: dict[str, Decimal] = {}
    for row in rows:
        if row.weight:
            name = row.security.asset_class.name
            totals[name] = totals.get(name, ZERO) + row.weight
    if cash_weight:
        totals["Cash"] = totals.get("Cash", ZERO) + cash_weight
    return list(totals.items())


def get_draft_weights(model_id: int) -> tuple[models.ModelVersion | None, dict[int, Decimal]]:
    """Return the version to start a draft from, in work or else in force, and its weights by id."""
    versions = models.ModelVersion.objects.filter(model_id=model_id).order_by("-number")
    version = (
        versions.filter(status__in=IN_WORK).first()
        or versions.filter(status=ModelStatus.PUBLISHED).first()
    )
    if version is None:
        return None, {}
    return version, dict(version.weights.values_list("security_id", "weight"))


def list_risk_mappings(firm_id: int) -> dict[int, models.ModelPortfolio]:
    """Return the model that each risk score leads to; scores without one are left out."""
    return {
        row.score: row.model
        for row in models.RiskMapping.objects.filter(firm_id=firm_id).select_related("model")
    }
