"""The books of an account: entries, transfers, lots, disposals and their running totals."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from portfolios.domain.kinds import EntryKind, Pocket
from portfolios.models.securities import Security
from robo.common.fields import (
    NUMBER_LIMIT,
    QUANTITY_LIMIT,
    MoneyField,
    QuantityField,
    not_negative,
    positive,
)


def _within_limits(field: str) -> models.Q:
    return models.Q(**{f"{field}__gt": -NUMBER_LIMIT, f"{field}__lt": NUMBER_LIMIT})


class CashBalance(models.Model):
    """An account's cash, and the lock that everyone takes who changes its books."""

    account = models.OneToOneField(
        "accounts.Account", on_delete=models.PROTECT, related_name="cash_balance"
    )
    amount = MoneyField(default=0)
    # Counts journal entries, so that a proposal can tell whether the books moved under it.
    books_version = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=not_negative("amount"), name="cash_never_overdrawn"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id}: {self.amount}"


class Holding(models.Model):
    """How much of a security an account holds: a running total of its open lots."""

    account = models.ForeignKey(
        "accounts.Account", on_delete=models.PROTECT, related_name="holdings"
    )
    security = models.ForeignKey(Security, on_delete=models.PROTECT, related_name="+")
    quantity = QuantityField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "security"], name="holding_unique"),
            models.CheckConstraint(
                condition=not_negative("quantity") & models.Q(quantity__lt=QUANTITY_LIMIT),
                name="holding_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.security}: {self.quantity}"


class JournalEntry(models.Model):
    """One business event in one account's books. Append-only."""

    account = models.ForeignKey(
        "accounts.Account", on_delete=models.PROTECT, related_name="journal_entries"
    )
    kind = models.CharField(max_length=10, choices=[(k, k) for k in EntryKind])
    entry_date = models.DateField(help_text="the market day of the event")
    source = models.CharField(max_length=120, help_text="what caused it; booked at most once")
    memo = models.CharField(max_length=200, blank=True)
    # A correction never changes an entry: it takes it back by another, and books anew.
    reverses = models.OneToOneField(
        "self", null=True, on_delete=models.PROTECT, related_name="reversed_by"
    )
    settles_date = models.DateField(null=True, help_text="of a trade: when money and shares move")
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name_plural = "journal entries"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["source"], name="journal_source_once"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["account", "-id"], name="journal_by_account"),
            models.Index(fields=["kind", "id"], name="journal_by_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.entry_date}"


class Transfer(models.Model):
    """So much of one unit from one pocket of the entry's account to another. Append-only."""

    entry = models.ForeignKey(JournalEntry, on_delete=models.PROTECT, related_name="transfers")
    source_pocket = models.CharField(max_length=10, choices=[(p, p) for p in Pocket])
    target_pocket = models.CharField(max_length=10, choices=[(p, p) for p in Pocket])
    quantity = QuantityField()
    currency = models.CharField(max_length=3, blank=True)
    security = models.ForeignKey(
        Security, null=True, on_delete=models.PROTECT, related_name="transfers"
    )

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=positive("quantity"), name="transfer_positive"),
            models.CheckConstraint(
                condition=~models.Q(source_pocket=models.F("target_pocket")),
                name="transfer_moves_something",
            ),
            models.CheckConstraint(
                condition=models.Q(currency="", security__isnull=False)
                | (~models.Q(currency="") & models.Q(security__isnull=True)),
                name="transfer_has_one_unit",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} {self.currency or self.security}"


class Lot(models.Model):
    """Shares bought together: the unit of tax.

    What is left is what was opened, plus adjustments, less disposals; in shares and in cost.
    """

    account = models.ForeignKey("accounts.Account", on_delete=models.PROTECT, related_name="lots")
    security = models.ForeignKey(Security, on_delete=models.PROTECT, related_name="+")
    opened_by = models.ForeignKey(JournalEntry, on_delete=models.PROTECT, related_name="lots")
    acquired_date = models.DateField()
    opened_quantity = QuantityField()
    opened_cost = MoneyField()
    quantity = QuantityField(help_text="what is left")
    cost = MoneyField(help_text="the basis of what is left")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=positive("opened_quantity")
                & models.Q(opened_quantity__lt=QUANTITY_LIMIT)
                & not_negative("opened_cost"),
                name="lot_opened_with_something",
            ),
            models.CheckConstraint(
                condition=not_negative("quantity")
                & models.Q(quantity__lt=QUANTITY_LIMIT)
                & not_negative("cost"),
                name="lot_never_negative",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["account", "security"],
                condition=models.Q(quantity__gt=0),
                name="lot_open_by_account",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} {self.security} of {self.acquired_date}"


class LotAdjustment(models.Model):
    """A lot changed by other than a sale: a split, a reversed purchase, a break. Append-only."""

    entry = models.ForeignKey(JournalEntry, on_delete=models.PROTECT, related_name="adjustments")
    lot = models.ForeignKey(Lot, on_delete=models.PROTECT, related_name="adjustments")
    # Signed: what is added to the lot.
    quantity = models.DecimalField(max_digits=28, decimal_places=8)
    cost = models.DecimalField(max_digits=20, decimal_places=2)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=_within_limits("quantity") & _within_limits("cost"),
                name="adjustment_finite",
            ),
            models.CheckConstraint(
                condition=~models.Q(quantity=0, cost=0), name="adjustment_changes_something"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity:+} of lot {self.lot_id}"


class Disposal(models.Model):
    """Shares of one lot sold by one entry; a row that `reverses` another is below zero."""

    entry = models.ForeignKey(JournalEntry, on_delete=models.PROTECT, related_name="disposals")
    lot = models.ForeignKey(Lot, on_delete=models.PROTECT, related_name="disposals")
    disposed_date = models.DateField()
    # Signed, so that sums are what stands; append-only like the entry itself.
    quantity = models.DecimalField(max_digits=28, decimal_places=8)
    proceeds = models.DecimalField(max_digits=20, decimal_places=2)
    cost = models.DecimalField(max_digits=20, decimal_places=2)
    is_long_term = models.BooleanField()
    reverses = models.OneToOneField(
        "self", null=True, on_delete=models.PROTECT, related_name="reversed_by"
    )

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(reverses__isnull=True)
                & positive("quantity")
                & not_negative("proceeds")
                & not_negative("cost")
                | models.Q(reverses__isnull=False)
                & models.Q(quantity__lt=0, quantity__gt=-NUMBER_LIMIT)
                & models.Q(proceeds__lte=0, proceeds__gt=-NUMBER_LIMIT)
                & models.Q(cost__lte=0, cost__gt=-NUMBER_LIMIT),
                name="disposal_sign",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of lot {self.lot_id}"


class ClosedPeriod(models.Model):
    """Books closed through a day: nothing is booked on it or before it any more. Append-only."""

    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    account = models.ForeignKey(
        "accounts.Account",
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="empty: all accounts of the firm",
    )
    closed_through = models.DateField()
    closed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["firm", "account"], name="closed_period_by_firm"),
        ]

    def __str__(self) -> str:
        return f"closed through {self.closed_through}"
