"""What a household needs, can bear and wishes for."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from accounts.domain.roles import WishKind
from accounts.models.people import Account, Household, User
from robo.common.fields import MoneyField, positive


class CashNeed(models.Model):
    """Money that an account must have ready by a date."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="cash_needs")
    amount = MoneyField()
    due_date = models.DateField()
    purpose = models.CharField(max_length=120)
    is_settled = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=positive("amount"), name="cash_need_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} by {self.due_date}"


class RiskProfile(models.Model):
    """One answered questionnaire. Append-only: a new answer is a new version."""

    household = models.ForeignKey(Household, on_delete=models.PROTECT, related_name="risk_profiles")
    version = models.PositiveIntegerField()
    questionnaire_version = models.CharField(max_length=20)
    answers = models.JSONField()
    willingness = models.PositiveSmallIntegerField()
    capacity = models.PositiveSmallIntegerField()
    score = models.PositiveSmallIntegerField(help_text="the lower of willingness and capacity")
    horizon_years = models.PositiveSmallIntegerField()
    liquidity_need = MoneyField(help_text="money wanted back within two years")
    reasons = models.JSONField(default=list)
    contradictions = models.JSONField(default=list)
    answered_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    answered_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["household", "version"], name="risk_profile_version"),
            models.CheckConstraint(
                condition=models.Q(score__gte=1, score__lte=10)
                & models.Q(score__lte=models.F("willingness"))
                & models.Q(score__lte=models.F("capacity")),
                name="risk_score_within_both",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.household} v{self.version}: {self.score}"


class Wish(models.Model):
    """What a household asked of us: leave a security alone, or keep a whole theme out."""

    household = models.ForeignKey(Household, on_delete=models.PROTECT, related_name="wishes")
    kind = models.CharField(max_length=10, choices=[(k, k) for k in WishKind])
    subject = models.CharField(max_length=40, help_text="a symbol, or a theme for exclusions")
    note = models.CharField(max_length=200, blank=True)
    recorded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["household", "kind", "subject"],
                condition=models.Q(ended_at__isnull=True),
                name="wish_unique",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
