"""Orders and their fills: what is owed to an approval, and what came of it."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from portfolios.domain.kinds import Side
from rebalancer.domain.lifecycle import OrderStatus
from rebalancer.models.proposals import Proposal, Trade
from robo.common.fields import (
    MoneyField,
    PriceField,
    QuantityField,
    not_negative,
    positive,
)


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
