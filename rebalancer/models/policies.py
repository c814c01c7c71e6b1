"""When to look, when to act and how far to go, and which account follows which policy."""

import uuid
from typing import ClassVar

from django.db import models

from portfolios.domain.tax.lot_methods import LotMethod
from rebalancer.domain.kinds import (
    BandLevel,
    BandMeasure,
    Destination,
    DriftMeasure,
    Schedule,
    Trigger,
)
from robo.common.fields import (
    MoneyField,
    WeightField,
    fraction,
    not_negative,
    positive,
)


class Policy(models.Model):
    """When to look, when to act and how far to go."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=80)
    trigger = models.CharField(max_length=10, choices=[(t, t) for t in Trigger])
    schedule = models.CharField(
        max_length=10, choices=[(s, s) for s in Schedule], default=Schedule.DAILY
    )
    cron_line = models.CharField(
        max_length=60, blank=True, help_text="minute hour day month weekday"
    )
    band_level = models.CharField(
        max_length=12, choices=[(v, v) for v in BandLevel], default=BandLevel.ASSET_CLASS
    )
    band_measure = models.CharField(
        max_length=10, choices=[(m, m) for m in BandMeasure], default=BandMeasure.ABSOLUTE
    )
    absolute_band = WeightField(default="0.05", help_text="in weight: 0.05 is five points")
    relative_band = WeightField(default="0.20", help_text="share of the target weight")
    band_floor = WeightField(default="0.01", help_text="no band is narrower than this")
    destination = models.CharField(
        max_length=10, choices=[(d, d) for d in Destination], default=Destination.TARGET
    )
    min_trade_amount = MoneyField(default="50")
    cash_floor_amount = MoneyField(default="0", help_text="never trade cash below this")
    need_horizon_days = models.PositiveSmallIntegerField(
        default=30, help_text="cash needs due within so many days are raised now"
    )
    approval_hours_max = models.PositiveSmallIntegerField(default=48)
    price_tolerance = WeightField(
        default="0.02", help_text="largest price move between proposal and approval"
    )
    # The defaults of what follows are the strict rules of before: drift first, tax last.
    willingness = WeightField(
        default="5", help_text="cost and tax per unit traded worth paying at five points off target"
    )
    drift_measure = models.CharField(
        max_length=8, choices=[(m, m) for m in DriftMeasure], default=DriftMeasure.WEIGHT
    )
    risk_aversion = models.DecimalField(max_digits=6, decimal_places=3, default="4")
    risk_horizon_years = models.DecimalField(max_digits=6, decimal_places=3, default="0.5")
    tracking_error_max = WeightField(
        default="0.02", help_text="a year; the risk trigger acts above it"
    )
    destination_share = WeightField(
        default="0.5", help_text="how far between the band's edge (0) and the target (1)"
    )
    hurdle_bps = models.DecimalField(
        max_digits=8,
        decimal_places=3,
        default="0",
        help_text="a plan that gains less of the value is not proposed",
    )
    ticket_price = MoneyField(default="0", help_text="what one trade fewer is worth")
    commission_fixed = MoneyField(default="0", help_text="a trade")
    commission_bps = models.DecimalField(max_digits=8, decimal_places=3, default="0")
    turnover_max = WeightField(
        null=True, blank=True, help_text="buys and sells of one plan, of the value; empty: no limit"
    )
    # [{"kind", "name", "max_weight"}], the weight as a decimal string.
    caps = models.JSONField(default=list, blank=True)
    lot_method = models.CharField(
        max_length=9, choices=[(m, m) for m in LotMethod], default=LotMethod.LEAST_TAX
    )
    harvests_losses = models.BooleanField(default=False)
    harvest_benefit_min = MoneyField(default="20", help_text="tax that a harvest must save")
    harvest_drift_max = WeightField(default="0.02", help_text="drift that harvests may add in all")
    hold_for_long_term_days = models.PositiveSmallIntegerField(
        default=0, help_text="gains this near to long-term are kept; 0: none"
    )
    transition_years = models.PositiveSmallIntegerField(
        default=0, help_text="tax years over which an old portfolio's gains are spread; 0: none"
    )
    transition_start_year = models.PositiveSmallIntegerField(default=0)
    is_active = models.BooleanField(default=True)
    revision = models.PositiveIntegerField(default=1, editable=False)

    class Meta:
        ordering: ClassVar = ["name"]
        verbose_name_plural = "policies"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["firm", "name"], name="policy_name_unique"),
            models.CheckConstraint(
                condition=fraction("absolute_band")
                & fraction("relative_band")
                & fraction("band_floor")
                & fraction("price_tolerance"),
                name="policy_bands_are_fractions",
            ),
            models.CheckConstraint(
                condition=not_negative("min_trade_amount") & not_negative("cash_floor_amount"),
                name="policy_amounts_not_negative",
            ),
            models.CheckConstraint(
                condition=~models.Q(schedule="CRON") | ~models.Q(cron_line=""),
                name="policy_cron_line_given",
            ),
            models.CheckConstraint(
                condition=fraction("destination_share")
                & fraction("harvest_drift_max")
                & fraction("tracking_error_max"),
                name="policy_shares_are_fractions",
            ),
            models.CheckConstraint(
                condition=positive("willingness")
                & positive("risk_aversion")
                & positive("risk_horizon_years"),
                name="policy_prices_of_drift_positive",
            ),
            models.CheckConstraint(
                condition=not_negative("hurdle_bps")
                & not_negative("ticket_price")
                & not_negative("commission_fixed")
                & not_negative("commission_bps")
                & not_negative("harvest_benefit_min")
                & (models.Q(turnover_max__isnull=True) | not_negative("turnover_max")),
                name="policy_costs_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class PolicyAssignment(models.Model):
    """Which policy an account follows."""

    account = models.OneToOneField(
        "accounts.Account", on_delete=models.PROTECT, related_name="policy_assignment"
    )
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="assignments")

    def __str__(self) -> str:
        return f"{self.account_id}: {self.policy}"
