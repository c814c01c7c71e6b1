"""The books of an account: entries, transfers, lots, disposals and their running totals."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from portfolios.domain.kinds import EntryKind, Pocket
from portfolios.models.securities import Security
from robo.common.fields import (
    QUANTITY_LIMIT,
    MoneyField,
    QuantityField,
    not_negative,
    positive,
)


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
    """Shares bought together: the unit of tax."""

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
                & not_negative("cost")
                & models.Q(quantity__lte=models.F("opened_quantity"))
                & models.Q(cost__lte=models.F("opened_cost")),
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


class Disposal(models.Model):
    """Shares of one lot sold by one entry. Append-only."""

    entry = models.ForeignKey(JournalEntry, on_delete=models.PROTECT, related_name="disposals")
    lot = models.ForeignKey(Lot, on_delete=models.PROTECT, related_name="disposals")
    disposed_date = models.DateField()
    quantity = QuantityField()
    proceeds = MoneyField()
    cost = MoneyField()
    is_long_term = models.BooleanField()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=positive("quantity") & not_negative("proceeds") & not_negative("cost"),
                name="disposal_positive",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of lot {self.lot_id}"
