"""Firms, the people who sign in, households, who looks after them, and client accounts."""

import uuid
from typing import ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models.functions import Lower, Now
from django.utils.crypto import salted_hmac

from accounts.domain.permissions import Permission
from accounts.domain.roles import PriceSourceKind, Role, TaxCountry, TaxStatus
from accounts.domain.taxes import DEFERRAL_YEARS_MAX
from robo.common.fields import MoneyField, WeightField, fraction, not_negative, positive


class Firm(models.Model):
    """A tenant: everything else belongs to exactly one."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=120, unique=True)
    currency = models.CharField(max_length=3, default="USD")
    exchange = models.CharField(max_length=8, default="XNYS", help_text="ISO 10383 market code")
    price_source = models.CharField(
        max_length=12, choices=[(s, s) for s in PriceSourceKind], default=PriceSourceKind.FILES
    )
    # A simulated firm lives in its own time; a real one leaves this empty.
    simulated_date = models.DateField(null=True, blank=True)
    price_age_days_max = models.PositiveSmallIntegerField(default=5)
    price_jump_max = WeightField(default="0.25", help_text="largest believable move between prices")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=positive("price_jump_max"), name="firm_jump_positive"),
        ]

    def __str__(self) -> str:
        return self.name


class UserManager(BaseUserManager["User"]):
    """Finds users by e-mail, whatever its case."""

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").lower())


class User(AbstractBaseUser, PermissionsMixin):
    """Someone who signs in with an e-mail address, or the engine's own service user."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    firm = models.ForeignKey(Firm, on_delete=models.PROTECT, related_name="users")
    # Stored in lower case (a constraint sees to it), so that the case typed never matters.
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120)
    role = models.CharField(max_length=12, choices=[(r, r) for r in Role])
    household = models.ForeignKey(
        "Household", null=True, blank=True, on_delete=models.PROTECT, related_name="members"
    )
    is_active = models.BooleanField(default=True)
    joined_at = models.DateTimeField(db_default=Now(), editable=False)
    session_generation = models.PositiveIntegerField(
        default=0, editable=False, help_text="counting it up ends every session of this person"
    )

    # What the token of a request may do; a person who signs in has none, for a role says it all.
    token_permissions: frozenset[Permission] = frozenset()

    objects = UserManager()
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(email=Lower("email")), name="user_email_in_lower_case"
            ),
            models.CheckConstraint(
                condition=models.Q(role="CLIENT", household__isnull=False)
                | (~models.Q(role="CLIENT") & models.Q(household__isnull=True)),
                name="user_household_for_clients_only",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        # Every request compares this with what its session holds: a new password, another role or
        # a higher generation ends the sessions of before, in the very transaction of the change.
        told = f"{self.password}\n{self.role}\n{self.session_generation}"
        key_salt = "accounts.models.people.User.session"
        return salted_hmac(key_salt, told, secret=secret, algorithm="sha256").hexdigest()

    @property
    def is_staff(self) -> bool:
        """Whether Django's own admin opens for this user; what it shows depends on the role."""
        return self.role in (Role.ADMIN, Role.SUPERVISOR)


class Household(models.Model):
    """People who plan, and are taxed, together."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    firm = models.ForeignKey(Firm, on_delete=models.PROTECT, related_name="households")
    name = models.CharField(max_length=120)
    short_term_rate = WeightField(default="0.35", help_text="tax on gains of a year or less")
    long_term_rate = WeightField(default="0.15", help_text="tax on gains of more than a year")
    tax_regime = models.CharField(
        max_length=2,
        choices=[(c, c) for c in TaxCountry],
        default=TaxCountry.US,
        help_text="whose tax law applies",
    )
    deduction_rate = WeightField(
        null=True,
        blank=True,
        help_text="tax saved on other income by a loss set against it; empty: the short-term rate",
    )
    carried_share = WeightField(
        default="0.8", help_text="what a loss carried to later years is worth today, of the rate"
    )
    carried_short_loss = MoneyField(
        default="0", help_text="short-term losses carried in from earlier years"
    )
    carried_long_loss = MoneyField(
        default="0", help_text="long-term losses carried in from earlier years"
    )
    loss_cap = MoneyField(
        null=True,
        blank=True,
        help_text="losses set against other income in a year; empty: what the law allows",
    )
    gains_budget = MoneyField(
        null=True, blank=True, help_text="net gains that a year may realise; empty: no limit"
    )
    discount_rate = WeightField(default="0.05", help_text="a year, for tax that is put off")
    deferral_years = models.DecimalField(
        max_digits=5, decimal_places=2, default="10", help_text="until a gain put off is taxed"
    )
    realised_share = WeightField(
        default="0", help_text="how likely a gain put off is ever taxed; 0: count today's tax whole"
    )
    is_together = models.BooleanField(
        default=False, help_text="one target for all accounts together, not one for each"
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["firm", "name"], name="household_name_unique"),
            models.CheckConstraint(
                condition=fraction("short_term_rate") & fraction("long_term_rate"),
                name="household_rates_are_fractions",
            ),
            models.CheckConstraint(
                condition=(models.Q(deduction_rate__isnull=True) | fraction("deduction_rate"))
                & fraction("carried_share")
                & fraction("discount_rate")
                & fraction("realised_share"),
                name="household_shares_are_fractions",
            ),
            models.CheckConstraint(
                condition=not_negative("carried_short_loss")
                & not_negative("carried_long_loss")
                & (models.Q(loss_cap__isnull=True) | not_negative("loss_cap"))
                & (models.Q(gains_budget__isnull=True) | not_negative("gains_budget"))
                & models.Q(deferral_years__gte=0, deferral_years__lte=DEFERRAL_YEARS_MAX),
                name="household_amounts_not_negative",
            ),
            models.CheckConstraint(
                condition=models.Q(tax_regime__in=list(TaxCountry)),
                name="household_tax_regime_known",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class AdvisorAssignment(models.Model):
    """Which advisors look after a household; one leads, others stand in and can approve."""

    household = models.ForeignKey(Household, on_delete=models.CASCADE, related_name="assignments")
    advisor = models.ForeignKey(User, on_delete=models.CASCADE, related_name="assignments")
    is_lead = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["household", "advisor"], name="assignment_unique"),
            models.UniqueConstraint(
                fields=["household"], condition=models.Q(is_lead=True), name="assignment_one_lead"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.advisor} for {self.household}"


class Account(models.Model):
    """A client's account at a custodian."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    firm = models.ForeignKey(Firm, on_delete=models.PROTECT, related_name="accounts")
    household = models.ForeignKey(Household, on_delete=models.PROTECT, related_name="accounts")
    name = models.CharField(max_length=120)
    number = models.CharField(max_length=40, help_text="the custodian's number")
    custodian = models.CharField(max_length=60)
    tax_status = models.CharField(max_length=12, choices=[(s, s) for s in TaxStatus])
    is_discretionary = models.BooleanField(default=False)
    opened_date = models.DateField()
    is_open = models.BooleanField(default=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["firm", "custodian", "number"], name="account_number_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.household} · {self.name}"
