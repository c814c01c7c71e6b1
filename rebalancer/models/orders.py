"""Orders and what becomes of them at a broker.

An `Order` is what one account is owed by an approval. Orders of many accounts in one security and
side go to market as one `Block`, cut into `Slice`s, each an instruction to the broker under an id
of our own. An `Execution` is what the broker says happened to a slice; a `Fill` is an account's
share of its block, at the block's one average price. Executions and fills are append-only: what
turns out wrong is answered by another row, never by a change.
"""

import uuid
from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from portfolios.domain.kinds import Side
from rebalancer.domain.kinds import BrokerKind, ExecutionKind, SliceStrategy
from rebalancer.domain.lifecycle import CLOSED_ORDER, OrderStatus
from rebalancer.models.proposals import Proposal, Trade
from robo.common.fields import (
    NUMBER_LIMIT,
    MoneyField,
    PriceField,
    QuantityField,
    not_negative,
    positive,
)

_STATUSES = [(s, s) for s in OrderStatus]
_IS_OPEN = ~models.Q(status__in=sorted(CLOSED_ORDER))
# A block of ten billion shares at a million each.
_VALUE_LIMIT = Decimal("1e16")


def _is_value(field: str) -> models.Q:
    return models.Q(**{f"{field}__gte": 0, f"{field}__lt": _VALUE_LIMIT})


class Block(models.Model):
    """Orders of many accounts in one security and side, worked as one and shared out fairly."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    broker = models.CharField(max_length=8, choices=[(b, b) for b in BrokerKind])
    security = models.ForeignKey("portfolios.Security", on_delete=models.PROTECT, related_name="+")
    side = models.CharField(max_length=4, choices=[(s, s) for s in Side])
    quantity = QuantityField(help_text="of all its orders together")
    status = models.CharField(max_length=16, choices=_STATUSES, default=OrderStatus.NEW)
    strategy = models.CharField(
        max_length=10, choices=[(s, s) for s in SliceStrategy], default=SliceStrategy.AT_ONCE
    )
    session_date = models.DateField(help_text="the trading day that it is good for")
    # Made before anything trades: who takes part, with how much; its hash is in the journal too.
    # Ordered by our ids, which are hashes: who gets the odd share is nobody's choice.
    statement = models.JSONField(help_text="[[client order id, quantity]], as the shares are cut")
    statement_hash = models.CharField(max_length=64)
    arrival_price = PriceField(help_text="the market price when it was formed")
    limit_price = PriceField(null=True, help_text="the worst price allowed; empty: at market")
    plan_note = models.CharField(max_length=200, blank=True, help_text="why it is cut as it is")
    reserve_price = PriceField(help_text="what is set aside for a share while it is bought")
    expected_cost_bps = models.DecimalField(
        max_digits=10, decimal_places=4, default=0, help_text="half spread and impact, of the value"
    )
    filled_quantity = QuantityField(default=0)
    # Quantity times price, unrounded: eight and six places.
    filled_value = models.DecimalField(max_digits=38, decimal_places=14, default=0)
    # What of it was shared out: where it differs from what is filled, there is work to do.
    shared_quantity = QuantityField(default=0)
    shared_value = models.DecimalField(max_digits=38, decimal_places=14, default=0)
    is_dissolved = models.BooleanField(
        default=False, help_text="taken apart before anything was sent: its orders are elsewhere"
    )
    stop_reason = models.CharField(
        max_length=300,
        blank=True,
        help_text="why somebody ended it: nothing more of it is sent, the rest is cancelled",
    )
    takes_allocations = models.BooleanField(
        help_text="the broker is told afterwards whose shares they are"
    )
    allocation_number = models.PositiveSmallIntegerField(
        default=0, help_text="how often its fills were shared out: once, and once per correction"
    )
    allocation_sent = models.PositiveSmallIntegerField(
        default=0, help_text="the last sharing out that the broker was told of"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(status__in=list(OrderStatus)), name="block_status_known"
            ),
            models.CheckConstraint(
                condition=positive("quantity")
                & positive("arrival_price")
                & positive("reserve_price")
                & not_negative("filled_quantity")
                & _is_value("filled_value")
                & not_negative("shared_quantity")
                & _is_value("shared_value"),
                name="block_amounts",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["id"], condition=_IS_OPEN, name="block_open"),
            models.Index(fields=["firm", "-id"], name="block_by_firm"),
            models.Index(fields=["security", "session_date"], name="block_by_security"),
            models.Index(
                fields=["id"],
                condition=~models.Q(filled_value=models.F("shared_value"))
                | ~models.Q(filled_quantity=models.F("shared_quantity")),
                name="block_to_share_out",
            ),
            models.Index(
                fields=["id"],
                condition=models.Q(allocation_sent__lt=models.F("allocation_number")),
                name="block_to_tell_of",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} {self.security_id}: {self.status}"


class Slice(models.Model):
    """One instruction to a broker: part of a block, due at its time, under our own id."""

    block = models.ForeignKey(Block, on_delete=models.PROTECT, related_name="slices")
    number = models.PositiveSmallIntegerField()
    client_order_id = models.CharField(max_length=64, unique=True)
    broker_order_id = models.CharField(max_length=80, blank=True)
    quantity = QuantityField()
    limit_price = PriceField(null=True, help_text="the collar; empty: at market")
    due_at = models.DateTimeField(help_text="not sent before")
    status = models.CharField(max_length=16, choices=_STATUSES, default=OrderStatus.NEW)
    filled_quantity = QuantityField(default=0)
    # What the broker itself says was filled in all: until ours is the same, nothing is released.
    broker_quantity = QuantityField(default=0)
    attempt_count = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    # Set where only people can tell: whether the broker has it, or what it counts beyond ours.
    is_parked = models.BooleanField(default=False)
    is_written_off = models.BooleanField(
        default=False,
        help_text="people ended it: what the broker counts beyond ours is for the reconciliation",
    )
    reason = models.CharField(max_length=300, blank=True)
    submitted_at = models.DateTimeField(null=True)
    cancel_asked_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["block", "number"], name="slice_number_unique"),
            models.CheckConstraint(
                condition=models.Q(status__in=list(OrderStatus)), name="slice_status_known"
            ),
            models.CheckConstraint(
                condition=positive("quantity")
                & not_negative("filled_quantity")
                & not_negative("broker_quantity"),
                name="slice_amounts",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["due_at"], condition=_IS_OPEN, name="slice_open"),
            models.Index(
                fields=["id"],
                condition=models.Q(submitted_at__isnull=False, is_written_off=False)
                & ~models.Q(broker_quantity=models.F("filled_quantity")),
                name="slice_not_level",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.client_order_id}: {self.status}"


class Order(models.Model):
    """What one account is to buy or sell, and how far that has come."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    account = models.ForeignKey("accounts.Account", on_delete=models.PROTECT, related_name="orders")
    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="orders")
    trade = models.OneToOneField(Trade, on_delete=models.PROTECT, related_name="order")
    block = models.ForeignKey(Block, null=True, on_delete=models.PROTECT, related_name="orders")
    security = models.ForeignKey("portfolios.Security", on_delete=models.PROTECT, related_name="+")
    side = models.CharField(max_length=4, choices=[(s, s) for s in Side])
    quantity = QuantityField()
    status = models.CharField(max_length=16, choices=_STATUSES, default=OrderStatus.NEW)
    client_order_id = models.CharField(max_length=64, unique=True)
    filled_quantity = QuantityField(default=0)
    filled_amount = MoneyField(default=0)
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
            models.Index(fields=["id"], condition=_IS_OPEN, name="order_open"),
            models.Index(fields=["firm", "-id"], name="order_by_firm"),
            models.Index(fields=["proposal"], name="order_by_proposal"),
            models.Index(fields=["block"], name="order_by_block"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} {self.security_id}: {self.status}"


class Execution(models.Model):
    """What a broker reported of a slice: a fill, its bust, or its correction. Append-only."""

    slice = models.ForeignKey(Slice, on_delete=models.PROTECT, related_name="executions")
    # A broker's ids are its own: two firms' brokers may well use the same ones.
    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    broker = models.CharField(max_length=8, choices=[(b, b) for b in BrokerKind])
    execution_id = models.CharField(max_length=80)
    kind = models.CharField(max_length=10, choices=[(k, k) for k in ExecutionKind])
    refers_to = models.ForeignKey(
        "self",
        null=True,
        on_delete=models.PROTECT,
        related_name="answers",
        help_text="the fill that a bust or a correction is about",
    )
    # Of a bust: what it takes back. Of a correction: what the fill should have said.
    quantity = QuantityField()
    price = PriceField()
    execution_date = models.DateField(help_text="the market day")
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["firm", "broker", "execution_id"], name="execution_once"
            ),
            models.CheckConstraint(
                condition=positive("quantity") & positive("price"), name="execution_positive"
            ),
            models.CheckConstraint(
                condition=models.Q(kind="FILL", refers_to__isnull=True)
                | (~models.Q(kind="FILL") & models.Q(refers_to__isnull=False)),
                name="execution_answers_a_fill",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.quantity} at {self.price}"


class ParkedReport(models.Model):
    """What a broker said that fits nothing we know; a person, or a later report, resolves it."""

    firm = models.ForeignKey("accounts.Firm", null=True, on_delete=models.PROTECT, related_name="+")
    broker = models.CharField(max_length=8, choices=[(b, b) for b in BrokerKind])
    report_key = models.CharField(max_length=160, help_text="the same report is kept once")
    client_order_id = models.CharField(max_length=64, blank=True)
    report = models.JSONField()
    reason = models.CharField(max_length=300)
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)
    resolved_at = models.DateTimeField(null=True)
    resolution = models.CharField(max_length=300, blank=True)
    resolved_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["broker", "report_key"], name="parked_report_once"),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["client_order_id"],
                condition=models.Q(resolved_at__isnull=True),
                name="parked_report_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.broker} {self.report_key}: {self.reason}"


class Fill(models.Model):
    """An order's share of its block's executions, as booked. Append-only."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="fills")
    number = models.PositiveSmallIntegerField(help_text="which sharing out of the block")
    reverses = models.OneToOneField(
        "self", null=True, on_delete=models.PROTECT, related_name="reversed_by"
    )
    # Empty where the books could not take it: then a break says so, and a person settles it.
    entry = models.OneToOneField(
        "portfolios.JournalEntry", null=True, on_delete=models.PROTECT, related_name="+"
    )
    # Below zero in a row that reverses another: sums are what stands.
    quantity = models.DecimalField(max_digits=28, decimal_places=8)
    amount = models.DecimalField(max_digits=20, decimal_places=2)
    price = PriceField(help_text="the block's average")
    fill_date = models.DateField(help_text="the market day of the execution")
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["order", "number"],
                condition=models.Q(reverses__isnull=True),
                name="fill_once",
            ),
            models.CheckConstraint(
                condition=(
                    models.Q(reverses__isnull=True) & positive("quantity") & not_negative("amount")
                )
                | (
                    models.Q(reverses__isnull=False)
                    & models.Q(quantity__lt=0, quantity__gt=-NUMBER_LIMIT)
                    & models.Q(amount__lte=0, amount__gt=-NUMBER_LIMIT)
                ),
                name="fill_sign",
            ),
            models.CheckConstraint(condition=positive("price"), name="fill_price_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} at {self.price}"
