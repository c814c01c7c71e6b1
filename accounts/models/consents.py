"""What clients were shown, agreed to and ordered: disclosures, consents, mandates, reviews."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from accounts.domain.disclosures import DisclosureKind
from accounts.models.people import Account, Firm, Household, User
from accounts.models.planning import RiskProfile
from robo.common.fields import MoneyField, WeightField, positive


class Disclosure(models.Model):
    """One version of a text for clients. Its words never change; another person publishes it."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    firm = models.ForeignKey(Firm, on_delete=models.PROTECT, related_name="disclosures")
    kind = models.CharField(max_length=20, choices=[(kind, kind) for kind in DisclosureKind])
    version = models.PositiveIntegerField()
    title = models.CharField(max_length=120)
    text = models.TextField()
    text_hash = models.CharField(max_length=64)
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    written_at = models.DateTimeField(db_default=Now(), editable=False)
    published_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    published_at = models.DateTimeField(null=True)
    effective_date = models.DateField(
        null=True, help_text="from then on it counts, not the one before"
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["firm", "kind", "version"], name="disclosure_version_unique"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    published_by__isnull=True,
                    published_at__isnull=True,
                    effective_date__isnull=True,
                )
                | (
                    models.Q(published_at__isnull=False, effective_date__isnull=False)
                    & models.Q(published_by__isnull=False)
                    & ~models.Q(published_by=models.F("author"))
                ),
                name="disclosure_published_by_another",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} v{self.version}"


class Consent(models.Model):
    """A client agreed to the words of one disclosure for their household. Append-only."""

    household = models.ForeignKey(Household, on_delete=models.PROTECT, related_name="consents")
    disclosure = models.ForeignKey(Disclosure, on_delete=models.PROTECT, related_name="consents")
    client = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    text_hash = models.CharField(max_length=64)
    given_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["household", "disclosure", "client"], name="consent_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.household_id} to {self.disclosure_id}"


class Mandate(models.Model):
    """A client's order that the firm may trade an account without asking, within limits.

    Whatever it says stays; it can only be ended. Trades proposed before it are not covered by it.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="mandates")
    text = models.TextField(help_text="the document, word for word")
    text_hash = models.CharField(max_length=64)
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, blank=True, help_text="the last day; empty: until ended")
    trade_amount_max = MoneyField(null=True, blank=True, help_text="of one trade; empty: no limit")
    turnover_share_max = WeightField(
        null=True, blank=True, help_text="of one proposal, of the account's value; empty: no limit"
    )
    asset_classes = models.JSONField(default=list, help_text="codes that may trade; empty: all")
    signed_by = models.CharField(max_length=120, help_text="the client who signed")
    signed_on = models.DateField()
    recorded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)
    ended_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account"],
                condition=models.Q(ended_at__isnull=True),
                name="mandate_one_in_force",
            ),
            models.CheckConstraint(
                condition=models.Q(ends_on__isnull=True)
                | models.Q(ends_on__gte=models.F("starts_on")),
                name="mandate_ends_after_start",
            ),
            models.CheckConstraint(
                condition=(models.Q(trade_amount_max__isnull=True) | positive("trade_amount_max"))
                & (models.Q(turnover_share_max__isnull=True) | positive("turnover_share_max")),
                name="mandate_limits_positive",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} from {self.starts_on}"


class ProfileReview(models.Model):
    """An advisor's note that settles the contradictions in one risk profile. Append-only."""

    profile = models.OneToOneField(RiskProfile, on_delete=models.PROTECT, related_name="review")
    note = models.CharField(max_length=500)
    reviewed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    reviewed_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"{self.profile_id}: {self.note}"
