"""What companies do to their shares, and who wants dividends reinvested."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from portfolios.domain.kinds import ActionKind, ActionStatus
from portfolios.models.securities import Security
from robo.common.fields import PriceField, positive

_RATIO = models.Q(new_shares__gte=1, old_shares__gte=1)
_NO_RATIO = models.Q(new_shares__isnull=True, old_shares__isnull=True)
_CASH, _NO_CASH = positive("cash_per_share"), models.Q(cash_per_share__isnull=True)
_SYMBOL, _NO_SYMBOL = ~models.Q(new_symbol=""), models.Q(new_symbol="")


class CorporateAction(models.Model):
    """A split, change of name, dividend, merger or end of one security, from its word to its deed.

    It changes the books of everybody, so one records it and another confirms it. Once applied it
    never changes: what was wrong about it is answered by another action.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    security = models.ForeignKey(Security, on_delete=models.PROTECT, related_name="actions")
    kind = models.CharField(max_length=13, choices=[(k, k) for k in ActionKind])
    effective_date = models.DateField(
        help_text="the first market day it holds on; of a dividend the ex-date"
    )
    pay_date = models.DateField(help_text="when cash comes; the effective date where none is paid")
    new_shares = models.PositiveIntegerField(null=True, help_text="so many new shares ...")
    old_shares = models.PositiveIntegerField(null=True, help_text="... for so many old ones")
    old_symbol = models.CharField(max_length=24, help_text="the symbol when it was recorded")
    new_symbol = models.CharField(max_length=24, blank=True)
    cash_per_share = PriceField(null=True)
    status = models.CharField(
        max_length=9, choices=[(s, s) for s in ActionStatus], default=ActionStatus.RECORDED
    )
    source = models.CharField(max_length=120, help_text="where it was read")
    recorded_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)
    confirmed_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    confirmed_at = models.DateTimeField(null=True)
    applied_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-effective_date", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["security", "kind", "effective_date"],
                condition=~models.Q(status="WITHDRAWN"),
                name="action_once",
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=list(ActionStatus)), name="action_status_known"
            ),
            models.CheckConstraint(
                condition=models.Q(confirmed_by__isnull=True, confirmed_at__isnull=True)
                & ~models.Q(status="ANNOUNCED")
                | models.Q(confirmed_by__isnull=False, confirmed_at__isnull=False)
                & ~models.Q(recorded_by=models.F("confirmed_by")),
                name="action_by_two",
            ),
            models.CheckConstraint(
                condition=models.Q(pay_date__gte=models.F("effective_date")),
                name="action_pays_after",
            ),
            models.CheckConstraint(
                condition=models.Q(kind="SPLIT") & _RATIO & _NO_CASH & _NO_SYMBOL
                | models.Q(kind="REVERSE_SPLIT") & _RATIO & _NO_CASH & _NO_SYMBOL
                | models.Q(kind="SYMBOL_CHANGE") & _NO_RATIO & _NO_CASH & _SYMBOL
                | models.Q(kind="CASH_DIVIDEND") & _NO_RATIO & _CASH & _NO_SYMBOL
                | models.Q(kind="CASH_MERGER") & _NO_RATIO & _CASH & _NO_SYMBOL
                | models.Q(kind="DELISTING") & _NO_RATIO & _NO_CASH & _NO_SYMBOL,
                name="action_states_its_terms",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["firm", "-effective_date"], name="action_by_firm"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.old_symbol} on {self.effective_date}"


class ReinvestmentChoice(models.Model):
    """Whether an account's dividends buy more of what paid them."""

    account = models.ForeignKey(
        "accounts.Account", on_delete=models.PROTECT, related_name="reinvestment_choices"
    )
    security = models.ForeignKey(
        Security,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="empty: whatever has no choice of its own",
    )
    reinvests = models.BooleanField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account", "security"], nulls_distinct=False, name="reinvestment_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account_id}, {self.security_id or 'all'}: {self.reinvests}"
