"""Model portfolios in versions, and which account follows which."""

import uuid
from typing import ClassVar

from django.db import models

from portfolios.domain.kinds import ModelStatus
from portfolios.models.securities import Security
from robo.common.fields import (
    WeightField,
    fraction,
    positive,
)


class ModelPortfolio(models.Model):
    """A named target; what it holds is in its versions."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=80)
    description = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["firm", "name"], name="model_name_unique"),
        ]

    def __str__(self) -> str:
        return self.name


class ModelVersion(models.Model):
    """One edition of a model portfolio: DRAFT > IN_REVIEW > PUBLISHED > RETIRED."""

    model = models.ForeignKey(ModelPortfolio, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=[(s, s) for s in ModelStatus])
    cash_weight = WeightField(default="0.01")
    author = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    publisher = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    published_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=300, blank=True, help_text="why this edition exists")

    class Meta:
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["model", "number"], name="model_version_unique"),
            models.UniqueConstraint(
                fields=["model"],
                condition=models.Q(status="PUBLISHED"),
                name="model_one_published",
            ),
            models.UniqueConstraint(
                fields=["model"],
                condition=models.Q(status__in=["DRAFT", "IN_REVIEW"]),
                name="model_one_in_work",
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=list(ModelStatus)), name="model_status_known"
            ),
            models.CheckConstraint(condition=fraction("cash_weight"), name="model_cash_fraction"),
            models.CheckConstraint(
                condition=models.Q(publisher__isnull=True)
                | ~models.Q(publisher=models.F("author")),
                name="model_publisher_is_not_author",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} v{self.number}"


class ModelWeight(models.Model):
    """The target weight of one security in a model version."""

    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="weights")
    security = models.ForeignKey(Security, on_delete=models.PROTECT, related_name="+")
    weight = WeightField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["version", "security"], name="model_weight_unique"),
            models.CheckConstraint(
                condition=positive("weight") & fraction("weight"), name="model_weight_fraction"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.security} {self.weight}"


class RiskMapping(models.Model):
    """Which model a risk score leads to."""

    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    score = models.PositiveSmallIntegerField()
    model = models.ForeignKey(ModelPortfolio, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering: ClassVar = ["score"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["firm", "score"], name="risk_mapping_unique"),
            models.CheckConstraint(
                condition=models.Q(score__gte=1, score__lte=10), name="risk_mapping_score"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.score}: {self.model}"


class ModelAssignment(models.Model):
    """Which model an account follows."""

    account = models.OneToOneField(
        "accounts.Account", on_delete=models.PROTECT, related_name="model_assignment"
    )
    model = models.ForeignKey(ModelPortfolio, on_delete=models.PROTECT, related_name="assignments")

    def __str__(self) -> str:
        return f"{self.account_id}: {self.model}"
