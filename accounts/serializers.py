"""Shapes of people over the API; nothing here saves."""

from typing import Any

from rest_framework import serializers

from accounts.domain.roles import Role, TaxCountry, TaxStatus
from robo.common.api.serializers import Code, Money, PageQuery, Weight


class ReferenceSerializer(serializers.Serializer[Any]):
    """Another thing by its id and name."""

    id = serializers.UUIDField(source="public_id")
    name = serializers.CharField()


class FirmSerializer(ReferenceSerializer):
    """The firm that everything belongs to."""

    currency = serializers.CharField(help_text="ISO 4217, of every amount")
    exchange = serializers.CharField(help_text="ISO 10383 market code")
    simulated_date = serializers.DateField(
        allow_null=True, help_text="today, in a firm whose market is simulated"
    )


class MeSerializer(ReferenceSerializer):
    """Who is signed in."""

    email = serializers.EmailField()
    role = Code(Role)
    firm = FirmSerializer()
    household = ReferenceSerializer(allow_null=True, help_text="of a client")


class HouseholdSerializer(ReferenceSerializer):
    """People who plan, and are taxed, together."""

    short_term_rate = Weight(help_text="tax on gains of a year or less")
    long_term_rate = Weight(help_text="tax on gains of more than a year")
    account_count = serializers.IntegerField(help_text="open accounts")


class AccountSerializer(ReferenceSerializer):
    """A client's account at a custodian."""

    household = ReferenceSerializer()
    number = serializers.CharField(help_text="the custodian's number")
    custodian = serializers.CharField()
    tax_status = Code(TaxStatus)
    is_discretionary = serializers.BooleanField()
    opened_date = serializers.DateField()
    is_open = serializers.BooleanField()


class AdvisorSerializer(serializers.Serializer[Any]):
    """Who looks after a household."""

    id = serializers.UUIDField(source="advisor.public_id")
    name = serializers.CharField(source="advisor.name")
    is_lead = serializers.BooleanField()


class TaxTermsSerializer(serializers.Serializer[Any]):
    """What a household's tax return says beside the rates."""

    tax_regime = Code(TaxCountry, help_text="whose tax law applies")
    deduction_rate = Weight(
        allow_null=True, help_text="saved by a loss set against income; null: the short-term rate"
    )
    carried_share = Weight(help_text="worth today of a loss carried on, of what it would save now")
    carried_short_loss = Money(help_text="from earlier tax years")
    carried_long_loss = Money(help_text="from earlier tax years")
    loss_cap = Money(
        allow_null=True, help_text="losses set against income a year; null: what the law allows"
    )
    gains_budget = Money(
        allow_null=True, help_text="net gains that a year may realise; null: no limit"
    )
    discount_rate = Weight(help_text="a year, for tax that is put off")
    deferral_years = serializers.DecimalField(
        max_digits=5, decimal_places=2, help_text="until a gain put off is taxed"
    )
    realised_share = Weight(help_text="how likely a gain put off is ever taxed")
    is_together = serializers.BooleanField(help_text="one target for all accounts together")


class HouseholdDetailSerializer(HouseholdSerializer):
    """A household with its accounts and people."""

    taxes = TaxTermsSerializer()
    accounts = AccountSerializer(many=True, source="account_rows", help_text="open ones first")
    members = ReferenceSerializer(many=True, source="member_rows")
    advisors = AdvisorSerializer(many=True, source="advisor_rows", help_text="the lead first")
    risk_score = serializers.IntegerField(
        allow_null=True, min_value=1, max_value=10, help_text="null before the first answers"
    )


class CashNeedSerializer(serializers.Serializer[Any]):
    """Money that an account must have ready by a date."""

    amount = Money()
    due_date = serializers.DateField()
    purpose = serializers.CharField()


class AccountDetailSerializer(AccountSerializer):
    """An account with the money it must have ready."""

    cash_needs = CashNeedSerializer(many=True, help_text="not settled yet")


class AccountQuery(PageQuery):
    """Which accounts to list."""

    household = serializers.UUIDField(required=False, help_text="those of one household")
