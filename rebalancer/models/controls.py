"""What stands between an approval and the market: switches, limits and what was used of them."""

import uuid
from typing import ClassVar

from django.db import models

from portfolios.domain.kinds import Side
from rebalancer.domain.kinds import BrokerKind, CostSource, SliceStrategy
from rebalancer.domain.limits import DEFAULTS, LimitStatus, SwitchScope
from rebalancer.models.orders import Order
from robo.common.fields import MoneyField, QuantityField, WeightField, not_negative, positive

_OF_FIRM = models.Q(firm__isnull=False)
_NO_ACCOUNT = models.Q(account__isnull=True)
_NO_SECURITY = models.Q(security__isnull=True)
_NO_BROKER = models.Q(broker="")


class Switch(models.Model):
    """A stop: while it is on, nothing in its scope goes to a broker.

    Everybody who sends shares the rows of the scopes ALL and FIRM; whoever sets a switch of a firm
    first takes the firm's row for himself. So a stop waits for a sender's open transaction, and
    no sender that comes later misses it.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    firm = models.ForeignKey("accounts.Firm", null=True, on_delete=models.PROTECT, related_name="+")
    scope = models.CharField(max_length=8, choices=[(s, s) for s in SwitchScope])
    account = models.ForeignKey(
        "accounts.Account", null=True, on_delete=models.PROTECT, related_name="+"
    )
    security = models.ForeignKey(
        "portfolios.Security", null=True, on_delete=models.PROTECT, related_name="+"
    )
    broker = models.CharField(max_length=8, blank=True, choices=[(b, b) for b in BrokerKind])
    is_stopped = models.BooleanField(default=False)
    reason = models.CharField(max_length=300, blank=True)
    set_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    set_at = models.DateTimeField(null=True)
    clear_asked_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    clear_asked_at = models.DateTimeField(null=True)
    clear_reason = models.CharField(max_length=300, blank=True)
    # Kept so that PostgreSQL itself can refuse one person who is both.
    cleared_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    cleared_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "switches"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["scope"], condition=models.Q(scope="ALL"), name="switch_one_for_all"
            ),
            models.UniqueConstraint(
                fields=["firm"], condition=models.Q(scope="FIRM"), name="switch_one_per_firm"
            ),
            models.UniqueConstraint(
                fields=["account"],
                condition=models.Q(scope="ACCOUNT"),
                name="switch_one_per_account",
            ),
            models.UniqueConstraint(
                fields=["security"],
                condition=models.Q(scope="SECURITY"),
                name="switch_one_per_security",
            ),
            models.UniqueConstraint(
                fields=["firm", "broker"],
                condition=models.Q(scope="BROKER"),
                name="switch_one_per_broker",
            ),
            models.CheckConstraint(
                condition=(
                    models.Q(scope="ALL", firm__isnull=True)
                    & _NO_ACCOUNT
                    & _NO_SECURITY
                    & _NO_BROKER
                )
                | (models.Q(scope="FIRM") & _OF_FIRM & _NO_ACCOUNT & _NO_SECURITY & _NO_BROKER)
                | (models.Q(scope="ACCOUNT") & _OF_FIRM & ~_NO_ACCOUNT & _NO_SECURITY & _NO_BROKER)
                | (models.Q(scope="SECURITY") & _OF_FIRM & _NO_ACCOUNT & ~_NO_SECURITY & _NO_BROKER)
                | (models.Q(scope="BROKER") & _OF_FIRM & _NO_ACCOUNT & _NO_SECURITY & ~_NO_BROKER),
                name="switch_names_what_it_stops",
            ),
            models.CheckConstraint(
                condition=models.Q(is_stopped=False)
                | (models.Q(set_by__isnull=False, set_at__isnull=False) & ~models.Q(reason="")),
                name="switch_set_with_reason",
            ),
            # Cleared once set: by two people, of whom neither is missing.
            models.CheckConstraint(
                condition=models.Q(cleared_by__isnull=True)
                | (
                    models.Q(clear_asked_by__isnull=False)
                    & ~models.Q(cleared_by=models.F("clear_asked_by"))
                ),
                name="switch_cleared_by_two",
            ),
            models.CheckConstraint(
                condition=models.Q(is_stopped=True)
                | models.Q(set_by__isnull=True)
                | models.Q(cleared_by__isnull=False),
                name="switch_off_means_cleared",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["firm"], condition=models.Q(is_stopped=True), name="switch_on"),
        ]

    def __str__(self) -> str:
        return f"{self.scope}: {'stopped' if self.is_stopped else 'free'}"


class LimitSet(models.Model):
    """A firm's limits in one revision: proposed by one person, put in force by another."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    revision = models.PositiveIntegerField()
    status = models.CharField(
        max_length=9, choices=[(s, s) for s in LimitStatus], default=LimitStatus.PROPOSED
    )
    order_amount_max = MoneyField(default=DEFAULTS.order_amount_max)
    volume_share_max = WeightField(default=DEFAULTS.volume_share_max)
    collar_bps = models.DecimalField(max_digits=8, decimal_places=3, default=DEFAULTS.collar_bps)
    account_turnover_max = WeightField(default=DEFAULTS.account_turnover_max)
    account_orders_max = models.PositiveIntegerField(default=DEFAULTS.account_orders_max)
    account_gain_max = MoneyField(default=DEFAULTS.account_gain_max)
    firm_amount_max = MoneyField(default=DEFAULTS.firm_amount_max)
    firm_orders_max = models.PositiveIntegerField(default=DEFAULTS.firm_orders_max)
    rate_per_minute = models.PositiveIntegerField(default=DEFAULTS.rate_per_minute)
    duplicate_minutes = models.PositiveSmallIntegerField(default=DEFAULTS.duplicate_minutes)
    cool_down_days = models.PositiveSmallIntegerField(default=DEFAULTS.cool_down_days)
    open_minutes = models.PositiveSmallIntegerField(default=DEFAULTS.open_minutes)
    close_minutes = models.PositiveSmallIntegerField(default=DEFAULTS.close_minutes)
    settlement_days = models.PositiveSmallIntegerField(default=DEFAULTS.settlement_days)
    slice_strategy = models.CharField(
        max_length=10, choices=[(s, s) for s in SliceStrategy], default=DEFAULTS.slice_strategy
    )
    slice_share_min = WeightField(default=DEFAULTS.slice_share_min)
    participation_max = WeightField(default=DEFAULTS.participation_max)
    risk_aversion = models.DecimalField(
        max_digits=12, decimal_places=4, default=DEFAULTS.risk_aversion
    )
    cost_source = models.CharField(
        max_length=8, choices=[(s, s) for s in CostSource], default=DEFAULTS.cost_source
    )
    reason = models.CharField(max_length=300)
    proposed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    decided_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True)
    decision_note = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["firm", "revision"], name="limits_revision_unique"),
            models.UniqueConstraint(
                fields=["firm"],
                condition=models.Q(status="IN_FORCE"),
                name="limits_one_in_force",
            ),
            models.UniqueConstraint(
                fields=["firm"],
                condition=models.Q(status="PROPOSED"),
                name="limits_one_proposed",
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=list(LimitStatus)), name="limits_status_known"
            ),
            models.CheckConstraint(
                condition=models.Q(status="PROPOSED", decided_by__isnull=True)
                | models.Q(status="WITHDRAWN", decided_by__isnull=False)
                | (
                    models.Q(status__in=["IN_FORCE", "RETIRED", "REFUSED"])
                    & models.Q(decided_by__isnull=False)
                    & ~models.Q(decided_by=models.F("proposed_by"))
                ),
                name="limits_decided_by_another",
            ),
            models.CheckConstraint(
                condition=positive("order_amount_max")
                & positive("volume_share_max")
                & positive("collar_bps")
                & positive("account_turnover_max")
                & not_negative("account_gain_max")
                & positive("firm_amount_max"),
                name="limits_are_numbers",
            ),
            models.CheckConstraint(
                condition=models.Q(slice_strategy__in=list(SliceStrategy))
                & models.Q(cost_source__in=list(CostSource))
                & positive("slice_share_min")
                & positive("participation_max")
                & not_negative("risk_aversion"),
                name="limits_of_slices",
            ),
        ]

    def __str__(self) -> str:
        return f"limits {self.revision}: {self.status}"


class LimitUse(models.Model):
    """What a firm, or one of its accounts, has entered on a day: the counters of the limits."""

    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    account = models.ForeignKey(
        "accounts.Account",
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="empty: the firm as a whole",
    )
    session_date = models.DateField()
    amount = MoneyField(default=0, help_text="bought and sold")
    order_count = models.PositiveIntegerField(default=0)
    # May be a loss.
    realised_gain = models.DecimalField(max_digits=20, decimal_places=2, default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["firm", "session_date"],
                condition=models.Q(account__isnull=True),
                name="limit_use_of_firm_once",
            ),
            models.UniqueConstraint(
                fields=["account", "session_date"],
                condition=models.Q(account__isnull=False),
                name="limit_use_of_account_once",
            ),
            models.CheckConstraint(condition=not_negative("amount"), name="limit_use_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id or self.firm_id} {self.session_date}: {self.amount}"


class RateUse(models.Model):
    """How many instructions a firm sent in the newest minute that it sent any in."""

    firm = models.OneToOneField("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    minute = models.DateTimeField()
    used = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.firm_id} {self.minute}: {self.used}"


class EnteredOrder(models.Model):
    """An order that passed the limits on a day, and was counted there. Append-only."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="+")
    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    account = models.ForeignKey("accounts.Account", on_delete=models.PROTECT, related_name="+")
    security = models.ForeignKey("portfolios.Security", on_delete=models.PROTECT, related_name="+")
    side = models.CharField(max_length=4, choices=[(s, s) for s in Side])
    quantity = QuantityField()
    amount = MoneyField()
    session_date = models.DateField()
    entered_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["order", "session_date"], name="order_entered_once_a_day"
            ),
            models.CheckConstraint(
                condition=positive("quantity") & not_negative("amount"), name="entered_amounts"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["account", "-session_date"], name="entered_by_account"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} {self.security_id}"
