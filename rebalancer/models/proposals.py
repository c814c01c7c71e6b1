"""Proposals with their trades and lots, and a person's decision about them."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from portfolios.domain.kinds import Side
from rebalancer.domain.kinds import (
    Mode,
    Path,
    TradeReason,
)
from rebalancer.domain.lifecycle import OPEN_PROPOSAL, ProposalStatus
from rebalancer.models.looks import Check
from rebalancer.models.policies import Policy
from robo.common.fields import (
    MoneyField,
    PriceField,
    QuantityField,
    WeightField,
    not_negative,
    positive,
)


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
