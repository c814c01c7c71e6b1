"""DECISIONS: policies, checks, proposals, trades, decisions, orders and fills.

The row is the queue: each stage of a rebalance leaves rows whose status is the next stage's work
list. Decisions and fills are append-only in PostgreSQL. Nothing here cascades.
"""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from portfolios.domain.kinds import Side
from portfolios.domain.tax.lot_methods import LotMethod
from rebalancer.domain.kinds import (
    BandLevel,
    BandMeasure,
    Cause,
    CheckStatus,
    CycleStatus,
    Destination,
    DriftMeasure,
    Mode,
    Path,
    Schedule,
    TradeReason,
    Trigger,
)
from rebalancer.domain.lifecycle import OPEN_PROPOSAL, OrderStatus, ProposalStatus
from robo.common.fields import (
    MoneyField,
    PriceField,
    QuantityField,
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


class CycleRun(models.Model):
    """One run of the whole cycle, with its progress as it goes."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    label = models.CharField(max_length=80)
    status = models.CharField(
        max_length=8, choices=[(s, s) for s in CycleStatus], default=CycleStatus.QUEUED
    )
    # What is still to be done, so that a killed run can be taken up where it stopped.
    price_dates = models.JSONField(default=list)
    market_shock = models.CharField(max_length=10, blank=True)
    step = models.CharField(max_length=120, blank=True)
    done_count = models.PositiveIntegerField(default=0)
    total_count = models.PositiveIntegerField(default=0)
    figures = models.JSONField(default=dict)
    error = models.CharField(max_length=500, blank=True)
    requested_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    advanced_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["firm"],
                condition=models.Q(status__in=["QUEUED", "RUNNING"]),
                name="cycle_one_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label}: {self.status}"


class Check(models.Model):
    """One look at one account: how far it had drifted, and whether that calls for trades."""

    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    account = models.ForeignKey("accounts.Account", on_delete=models.PROTECT, related_name="checks")
    policy = models.ForeignKey(Policy, null=True, on_delete=models.PROTECT, related_name="+")
    model_version = models.ForeignKey(
        "portfolios.ModelVersion", null=True, on_delete=models.PROTECT, related_name="+"
    )
    cause = models.CharField(max_length=12, choices=[(c, c) for c in Cause])
    period_key = models.CharField(max_length=40, help_text="an account is looked at once per key")
    price_date = models.DateField()
    status = models.CharField(max_length=8, choices=[(s, s) for s in CheckStatus])
    reason = models.CharField(max_length=300, blank=True)
    is_breached = models.BooleanField(default=False)
    drift_max = WeightField(default=0, help_text="largest distance from target in weight")
    value = models.DecimalField(max_digits=20, decimal_places=2, default=0)
    # [{"label", "weight", "target", "low", "high"}] as decimal strings, for pages and charts.
    drift = models.JSONField(default=list)
    tracking_error = WeightField(null=True, help_text="per year; where the policy looks at risk")
    certificate = models.JSONField(default=dict, help_text="why no trade was worth it, in numbers")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account", "cause", "period_key"], name="check_once_per_period"
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=list(CheckStatus)), name="check_status_known"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["account", "-id"], name="check_by_account"),
            models.Index(fields=["firm", "id"], condition=models.Q(status="DUE"), name="check_due"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.price_date}: {self.status}"


class Proposal(models.Model):
    """Trades that the engine, or a person's edit of them, proposes for one account."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    account = models.ForeignKey(
        "accounts.Account", on_delete=models.PROTECT, related_name="proposals"
    )
    # The "check" attribute itself belongs to Django's models.
    origin_check = models.ForeignKey(Check, on_delete=models.PROTECT, related_name="proposals")
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="+")
    model_version = models.ForeignKey(
        "portfolios.ModelVersion", on_delete=models.PROTECT, related_name="+"
    )
    status = models.CharField(
        max_length=20, choices=[(s, s) for s in ProposalStatus], default=ProposalStatus.PENDING
    )
    proposed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    supersedes = models.OneToOneField(
        "self", null=True, on_delete=models.PROTECT, related_name="superseded_by"
    )
    price_date = models.DateField()
    books_version = models.PositiveBigIntegerField()
    inputs = models.JSONField(help_text="everything the engine was given, kept to solve again")
    inputs_hash = models.CharField(max_length=64)
    content_hash = models.CharField(max_length=64, help_text="of what the approver sees")
    # [{"label", "target", "low", "high", "before", "after", "is_breached"}] as decimal strings.
    classes = models.JSONField()
    refused_trades = models.JSONField(default=list, help_text="[symbol, side] a person removed")
    notes = models.JSONField(default=list, help_text="what limited the plan, in sentences")
    value = MoneyField()
    cash_before = MoneyField()
    cash_after = MoneyField()
    required_cash = MoneyField(default=0, help_text="what must not be spent: needs and the floor")
    turnover_amount = MoneyField()
    cost_amount = MoneyField(help_text="half spreads")
    short_term_gain = models.DecimalField(max_digits=20, decimal_places=2)
    long_term_gain = models.DecimalField(max_digits=20, decimal_places=2)
    tax_amount = models.DecimalField(max_digits=20, decimal_places=2)
    drift_before = WeightField(help_text="half the sum of distances from target")
    drift_after = WeightField()
    # How the engine came to it, and how good it is.
    household_plan = models.UUIDField(
        default=uuid.uuid4, editable=False, help_text="shared by accounts that were solved together"
    )
    wanted = models.JSONField(
        default=dict, help_text="what a person asked for beyond the policy: mode, gains budget"
    )
    mode = models.CharField(max_length=12, choices=[(m, m) for m in Mode], default=Mode.FULL)
    path = models.CharField(max_length=10, choices=[(p, p) for p in Path], default=Path.ACCOUNT)
    path_reason = models.CharField(max_length=200, blank=True)
    certificate = models.JSONField(
        default=dict, help_text="the objective of this plan and of others, and a lower bound"
    )
    untraded = models.JSONField(
        default=list, help_text="what a naive rebalancer would trade, and why this plan does not"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    close_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account"],
                condition=models.Q(status__in=sorted(OPEN_PROPOSAL)),
                name="proposal_one_open_per_account",
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=list(ProposalStatus)), name="proposal_status_known"
            ),
            models.CheckConstraint(
                condition=not_negative("cash_after"), name="proposal_never_overdraws"
            ),
            models.CheckConstraint(
                condition=not_negative("value")
                & not_negative("cash_before")
                & not_negative("turnover_amount")
                & not_negative("cost_amount"),
                name="proposal_amounts_not_negative",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["firm", "status", "-id"], name="proposal_by_status"),
            models.Index(fields=["account", "-id"], name="proposal_by_account"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.price_date}: {self.status}"


class Trade(models.Model):
    """A proposed quantity of one security, with its price, tax, cost and reason."""

    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="trades")
    security = models.ForeignKey("portfolios.Security", on_delete=models.PROTECT, related_name="+")
    side = models.CharField(max_length=4, choices=[(s, s) for s in Side])
    quantity = QuantityField()
    price = PriceField(help_text="the market price")
    fill_price = PriceField(help_text="the price with the half spread against us")
    amount = MoneyField(help_text="cash paid or received")
    cost_amount = MoneyField(help_text="what the half spread costs")
    short_term_gain = models.DecimalField(max_digits=20, decimal_places=2, default=0)
    long_term_gain = models.DecimalField(max_digits=20, decimal_places=2, default=0)
    tax_amount = models.DecimalField(max_digits=20, decimal_places=2, default=0)
    weight_before = WeightField()
    weight_after = WeightField()
    weight_target = WeightField()
    reason = models.CharField(max_length=12, choices=[(r, r) for r in TradeReason])
    explanation = models.CharField(max_length=300)
    drift_removed_amount = models.DecimalField(
        max_digits=20, decimal_places=2, default=0, help_text="drift cost that it takes away"
    )
    rule = models.CharField(max_length=200, blank=True, help_text="what limited it")
    next_best = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering: ClassVar = ["-side", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["proposal", "security"], name="trade_one_per_security"),
            models.CheckConstraint(
                condition=positive("quantity") & positive("price") & positive("fill_price"),
                name="trade_positive",
            ),
            models.CheckConstraint(
                condition=not_negative("amount") & not_negative("cost_amount"),
                name="trade_amounts_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} {self.security}"


class TradeLot(models.Model):
    """How much of which lot a sale takes, in order."""

    trade = models.ForeignKey(Trade, on_delete=models.PROTECT, related_name="trade_lots")
    lot = models.ForeignKey("portfolios.Lot", on_delete=models.PROTECT, related_name="+")
    rank = models.PositiveSmallIntegerField()
    quantity = QuantityField()
    cost = MoneyField()
    gain = models.DecimalField(max_digits=20, decimal_places=2)
    tax_amount = models.DecimalField(max_digits=20, decimal_places=2)
    is_long_term = models.BooleanField()

    class Meta:
        ordering: ClassVar = ["rank"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["trade", "lot"], name="trade_lot_once"),
            models.CheckConstraint(
                condition=positive("quantity") & not_negative("cost"), name="trade_lot_positive"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of lot {self.lot_id}"


class Decision(models.Model):
    """A person's yes or no to one proposal, bound to what was seen. Append-only."""

    proposal = models.OneToOneField(Proposal, on_delete=models.PROTECT, related_name="decision")
    is_approved = models.BooleanField()
    decided_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    # A copy, so that PostgreSQL itself can refuse someone who approves their own proposal.
    proposed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    content_hash = models.CharField(max_length=64)
    note = models.CharField(max_length=500, blank=True)
    decided_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(is_approved=False)
                | ~models.Q(decided_by=models.F("proposed_by")),
                name="decision_by_another_person",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.proposal_id}: {'approved' if self.is_approved else 'rejected'}"


class Order(models.Model):
    """An instruction to a broker, under our own id, so that a retry cannot double it."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    account = models.ForeignKey("accounts.Account", on_delete=models.PROTECT, related_name="orders")
    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="orders")
    trade = models.OneToOneField(Trade, on_delete=models.PROTECT, related_name="order")
    security = models.ForeignKey("portfolios.Security", on_delete=models.PROTECT, related_name="+")
    side = models.CharField(max_length=4, choices=[(s, s) for s in Side])
    quantity = QuantityField()
    status = models.CharField(
        max_length=16, choices=[(s, s) for s in OrderStatus], default=OrderStatus.NEW
    )
    client_order_id = models.CharField(max_length=64, unique=True)
    filled_quantity = QuantityField(default=0)
    filled_amount = MoneyField(default=0)
    attempt_count = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    reason = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    submitted_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(status__in=list(OrderStatus)), name="order_status_known"
            ),
            models.CheckConstraint(
                condition=positive("quantity")
                & not_negative("filled_amount")
                & not_negative("filled_quantity")
                & models.Q(filled_quantity__lte=models.F("quantity")),
                name="order_never_overfilled",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["id"],
                condition=~models.Q(status__in=["FILLED", "CANCELLED", "REJECTED", "EXPIRED"]),
                name="order_open",
            ),
            models.Index(fields=["firm", "-id"], name="order_by_firm"),
            models.Index(fields=["proposal"], name="order_by_proposal"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} {self.security_id}: {self.status}"


class Fill(models.Model):
    """One execution reported by a broker, booked at most once. Append-only."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="fills")
    broker = models.CharField(max_length=20)
    broker_fill_id = models.CharField(max_length=80)
    quantity = QuantityField()
    price = PriceField()
    fill_date = models.DateField(help_text="the market day of the execution")
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["broker", "broker_fill_id"], name="fill_once"),
            models.CheckConstraint(
                condition=positive("quantity") & positive("price"), name="fill_positive"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} at {self.price}"
