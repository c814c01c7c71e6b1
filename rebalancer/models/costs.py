"""What trading a security came to, measured from executions month by month. Append-only."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from robo.common.fields import not_negative


class CostEstimate(models.Model):
    """Spread and impact of one security, as its executions of the year before tell them."""

    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    security = models.ForeignKey("portfolios.Security", on_delete=models.PROTECT, related_name="+")
    as_of_date = models.DateField(help_text="the last market day that counts")
    half_spread_bps = models.DecimalField(max_digits=8, decimal_places=3)
    impact_coefficient = models.DecimalField(
        max_digits=8, decimal_places=4, help_text="Y of the square-root law"
    )
    # How far the stated figures still weigh in: their own weight is that of ten samples.
    spread_sample_count = models.PositiveIntegerField()
    impact_sample_count = models.PositiveIntegerField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["security", "as_of_date"], name="cost_estimate_once_a_day"
            ),
            models.CheckConstraint(
                condition=not_negative("half_spread_bps") & not_negative("impact_coefficient"),
                name="cost_estimate_not_negative",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["firm", "-as_of_date"], name="cost_estimate_by_firm"),
        ]

    def __str__(self) -> str:
        return f"{self.security_id} {self.as_of_date}: {self.half_spread_bps} bps"
