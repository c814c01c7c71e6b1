"""What can be held, what may stand in for it, and what it was worth on which day."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from portfolios.domain.kinds import PriceRefusal, SubstituteUse
from robo.common.fields import (
    PriceField,
    QuantityField,
    WeightField,
    fraction,
    not_negative,
    positive,
)


class AssetClass(models.Model):
    """What a security stands for in a model, for instance US shares."""

    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    code = models.SlugField(max_length=40)
    name = models.CharField(max_length=80)
    rank = models.PositiveSmallIntegerField(default=100, help_text="order in lists and charts")
    # Securities taken on from a statement wait here; their accounts do not trade until classified.
    is_unclassified = models.BooleanField(default=False)

    class Meta:
        ordering: ClassVar = ["rank", "name"]
        verbose_name_plural = "asset classes"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["firm", "code"], name="asset_class_code_unique"),
        ]

    def __str__(self) -> str:
        return self.name


class Security(models.Model):
    """Something a client can hold, by the firm's own classification."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    symbol = models.CharField(max_length=24)
    name = models.CharField(max_length=120)
    asset_class = models.ForeignKey(AssetClass, on_delete=models.PROTECT, related_name="securities")
    share_step = QuantityField(default="1", help_text="smallest tradable quantity")
    half_spread_bps = models.DecimalField(max_digits=8, decimal_places=3, default="2")
    themes = models.JSONField(
        default=list, blank=True, help_text="themes a household may exclude, e.g. fossil-fuels"
    )
    identical_group = models.SlugField(
        max_length=40,
        blank=True,
        db_index=False,
        help_text="shared by securities that tax law takes for the same; empty: only itself",
    )
    sector = models.CharField(max_length=60, blank=True)
    issuer = models.CharField(max_length=80, blank=True)
    daily_volume = QuantityField(
        null=True, blank=True, help_text="shares that change hands on a usual day"
    )
    volatility = WeightField(
        null=True, blank=True, help_text="of returns, a year: 0.16 is sixteen percent"
    )
    qualified_yield = WeightField(
        default="0", help_text="income a year taxed as long-term gains are, of the price"
    )
    ordinary_yield = WeightField(
        default="0", help_text="income a year taxed as short-term gains are, of the price"
    )
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering: ClassVar = ["symbol"]
        verbose_name_plural = "securities"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["firm", "symbol"], name="security_symbol_unique"),
            models.CheckConstraint(condition=positive("share_step"), name="security_step_positive"),
            models.CheckConstraint(
                condition=not_negative("half_spread_bps"), name="security_spread_not_negative"
            ),
            models.CheckConstraint(
                condition=fraction("qualified_yield") & fraction("ordinary_yield"),
                name="security_yields_are_fractions",
            ),
            models.CheckConstraint(
                condition=(models.Q(daily_volume__isnull=True) | not_negative("daily_volume"))
                & (models.Q(volatility__isnull=True) | not_negative("volatility")),
                name="security_measures_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return self.symbol


class Substitute(models.Model):
    """What may be bought in place of a security, best first."""

    security = models.ForeignKey(Security, on_delete=models.CASCADE, related_name="substitutes")
    substitute = models.ForeignKey(Security, on_delete=models.CASCADE, related_name="+")
    rank = models.PositiveSmallIntegerField(default=1)
    used_in = models.CharField(
        max_length=9,
        choices=[(u, u) for u in SubstituteUse],
        default=SubstituteUse.ANY,
        help_text="the kind of account it may stand in",
    )

    class Meta:
        ordering: ClassVar = ["rank"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["security", "substitute"], name="substitute_unique"),
            models.CheckConstraint(
                condition=models.Q(used_in__in=list(SubstituteUse)), name="substitute_use_known"
            ),
            models.CheckConstraint(
                condition=~models.Q(security=models.F("substitute")), name="substitute_is_another"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.substitute} for {self.security}"


class Price(models.Model):
    """A believed closing price. Append-only."""

    security = models.ForeignKey(Security, on_delete=models.PROTECT, related_name="prices")
    price_date = models.DateField(help_text="the market day")
    price = PriceField()
    source = models.CharField(max_length=60)
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["security", "price_date"], name="price_unique"),
            models.CheckConstraint(condition=positive("price"), name="price_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.security_id} {self.price_date}"


class RefusedPrice(models.Model):
    """A quote that was not believed, kept apart with the reason; nothing reads it but people."""

    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    symbol = models.CharField(max_length=60)
    price_date = models.DateField(null=True)
    quoted = models.CharField(max_length=60, help_text="what the source said, letter by letter")
    reason = models.CharField(max_length=20, choices=[(r, r) for r in PriceRefusal])
    detail = models.CharField(max_length=300)
    source = models.CharField(max_length=60)
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["firm", "symbol", "price_date", "quoted", "reason"],
                nulls_distinct=False,
                name="refused_price_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.symbol} {self.price_date}: {self.reason}"
