"""FACTS: securities, prices, model portfolios, holdings, tax lots and the ledger.

Design overview of the books. A business event is one `JournalEntry` of one account with its
`Transfer` rows: so much of one unit (the currency, or a security) from one pocket to another,
always a positive quantity. Every row balances by construction, so no sum can be wrong. Tax truth
lives in `Lot` and `Disposal`; `Holding` and `CashBalance` are running totals that `check_books`
proves against both and can rebuild. Entries, transfers, disposals and prices are append-only in
PostgreSQL.
"""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from portfolios.domain.kinds import EntryKind, ModelStatus, Pocket, PriceRefusal, SubstituteUse
from robo.common.fields import (
    QUANTITY_LIMIT,
    MoneyField,
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


class ModelPortfolio(models.Model):
    """A named target; what it holds is in its versions."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=80)
    description = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["firm", "name"], name="model_name_unique"),
        ]

    def __str__(self) -> str:
        return self.name


class ModelVersion(models.Model):
    """One edition of a model portfolio: DRAFT > IN_REVIEW > PUBLISHED > RETIRED."""

    model = models.ForeignKey(ModelPortfolio, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=[(s, s) for s in ModelStatus])
    cash_weight = WeightField(default="0.01")
    author = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    publisher = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    published_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=300, blank=True, help_text="why this edition exists")

    class Meta:
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["model", "number"], name="model_version_unique"),
            models.UniqueConstraint(
                fields=["model"],
                condition=models.Q(status="PUBLISHED"),
                name="model_one_published",
            ),
            models.UniqueConstraint(
                fields=["model"],
                condition=models.Q(status__in=["DRAFT", "IN_REVIEW"]),
                name="model_one_in_work",
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=list(ModelStatus)), name="model_status_known"
            ),
            models.CheckConstraint(condition=fraction("cash_weight"), name="model_cash_fraction"),
            models.CheckConstraint(
                condition=models.Q(publisher__isnull=True)
                | ~models.Q(publisher=models.F("author")),
                name="model_publisher_is_not_author",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} v{self.number}"


class ModelWeight(models.Model):
    """The target weight of one security in a model version."""

    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="weights")
    security = models.ForeignKey(Security, on_delete=models.PROTECT, related_name="+")
    weight = WeightField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["version", "security"], name="model_weight_unique"),
            models.CheckConstraint(
                condition=positive("weight") & fraction("weight"), name="model_weight_fraction"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.security} {self.weight}"


class RiskMapping(models.Model):
    """Which model a risk score leads to."""

    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    score = models.PositiveSmallIntegerField()
    model = models.ForeignKey(ModelPortfolio, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering: ClassVar = ["score"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["firm", "score"], name="risk_mapping_unique"),
            models.CheckConstraint(
                condition=models.Q(score__gte=1, score__lte=10), name="risk_mapping_score"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.score}: {self.model}"


class ModelAssignment(models.Model):
    """Which model an account follows."""

    account = models.OneToOneField(
        "accounts.Account", on_delete=models.PROTECT, related_name="model_assignment"
    )
    model = models.ForeignKey(ModelPortfolio, on_delete=models.PROTECT, related_name="assignments")

    def __str__(self) -> str:
        return f"{self.account_id}: {self.model}"


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


class StatementImport(models.Model):
    """A broker statement that was taken into the books, by the hash of its bytes."""

    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    content_sha256 = models.CharField(max_length=64)
    broker = models.CharField(max_length=20)
    file_name = models.CharField(max_length=200)
    imported_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    imported_at = models.DateTimeField(db_default=Now(), editable=False)
    summary = models.JSONField(default=dict)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["firm", "content_sha256"], name="statement_imported_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.broker} {self.file_name}"
