"""What people type on the pages about people. Forms shape and check; operations decide and save."""

from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from accounts.access import known_households, visible_users
from accounts.domain.questionnaire import (
    HORIZON_YEARS_MAX,
    HORIZON_YEARS_MIN,
    SECTIONS,
    UNSURE,
    AnswersRefused,
    Question,
    TalkToAdvisor,
    read_answers,
)
from accounts.domain.roles import Role, TaxCountry
from accounts.domain.taxes import AMOUNT_LIMIT, DEFERRAL_YEARS_MAX, FRACTIONS

ROLE_LABELS = {
    Role.CLIENT: "Client",
    Role.ADVISOR: "Advisor",
    Role.SUPERVISOR: "Supervisor",
    Role.MODEL_ADMIN: "Model administrator",
    Role.ADMIN: "Administrator",
    Role.OPERATOR: "Operator",
}
STAFF_ROLES = [(role, label) for role, label in ROLE_LABELS.items() if role != Role.CLIENT]
JOURNAL_AREAS = {
    "": "Everything",
    "accounts": "People and wishes",
    "portfolios": "Books, prices and models",
    "rebalancer": "Checks, proposals and orders",
}


class QuestionnaireForm(forms.Form):
    """The risk questionnaire, one field a question, by section."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.talk_to_advisor: TalkToAdvisor | None = None
        for section in SECTIONS:
            for question in section.questions:
                self.fields.update(_question_fields(question))
                # Whoever ticks "I don't know" need not give a figure as well.
                if self.data.get(f"{question.code}_{UNSURE}"):
                    self.fields[question.code].required = False

    def sections(self) -> list[dict[str, Any]]:
        """Return title, introduction and fields of each section, for the page."""
        return [
            {
                "title": section.title,
                "introduction": section.introduction,
                "fields": [
                    self[name]
                    for question in section.questions
                    for name in _question_fields(question)
                ],
            }
            for section in SECTIONS
        ]

    def clean(self) -> dict[str, Any]:
        """Read the answers as the domain does, so that both refuse in the same words.

        :raises ValidationError: when something is answered with "I don't know".
        """
        answers = {}
        for section in SECTIONS:
            for question in section.questions:
                is_unsure = self.cleaned_data.get(f"{question.code}_{UNSURE}", False)
                answers[question.code] = (
                    UNSURE if is_unsure else self.cleaned_data.get(question.code, "")
                )
        try:
            read_answers(answers)
        except AnswersRefused as refusal:
            for code, problem in refusal.problems.items():
                if code not in self.errors:
                    self.add_error(code, problem)
        except TalkToAdvisor as refusal:
            self.talk_to_advisor = refusal
            raise ValidationError(str(refusal), code="talk_to_advisor") from refusal
        return {"answers": answers}


class InviteForm(forms.Form):
    """Somebody new, who will choose a password through a one-time link."""

    name = forms.CharField(max_length=120)
    email = forms.EmailField(label="E-mail", max_length=254)
    role = forms.ChoiceField(choices=list(ROLE_LABELS.items()))
    household: "forms.ModelChoiceField[Any]" = forms.ModelChoiceField(
        queryset=None,
        to_field_name="public_id",
        required=False,
        empty_label="None",
        help_text="For clients only: the household whose portfolios they see.",
    )

    def __init__(self, user: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _offer(self, "household", known_households(user).order_by("name"))

    def clean(self) -> dict[str, Any]:
        """Check that clients have a household and staff have none."""
        facts = super().clean() or {}
        is_client = facts.get("role") == Role.CLIENT
        if is_client and not facts.get("household") and "household" not in self.errors:
            self.add_error("household", "A client belongs to a household.")
        if not is_client and facts.get("household"):
            self.add_error("household", "Only a client belongs to a household.")
        return facts


class RoleForm(forms.Form):
    """A new role for a member of staff."""

    role = forms.ChoiceField(choices=STAFF_ROLES)


def _percent(label: str, help_text: str = "", *, required: bool = True) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        help_text=help_text,
        required=required,
        min_value=0,
        max_value=100,
        max_digits=8,
        decimal_places=5,
    )


def _amount(label: str, help_text: str, *, required: bool = True) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        help_text=help_text,
        required=required,
        min_value=0,
        max_value=AMOUNT_LIMIT - 1,
        decimal_places=2,
    )


class TaxRatesForm(forms.Form):
    """Tax rates as people write them, in percent; the cleaned values are fractions."""

    short_term_rate = _percent("Tax on gains of a year or less")
    long_term_rate = _percent("Tax on gains of more than a year")

    def clean(self) -> dict[str, Any]:
        """Turn percent into fractions."""
        facts = super().clean() or {}
        for name in FRACTIONS:
            if facts.get(name) is not None:
                facts[name] = facts[name] / Decimal(100)
        return facts


class TaxTermsForm(TaxRatesForm):
    """All that a household's tax return says, in percent and money."""

    tax_regime = forms.ChoiceField(
        label="Tax law",
        choices=[(TaxCountry.US, "United States"), (TaxCountry.UK, "United Kingdom")],
        help_text="Decides what counts as long-term, which losses are denied, and when a tax year "
        "begins. In the United Kingdom only the first rate counts.",
    )
    is_together = forms.BooleanField(
        label="Manage all accounts as one portfolio",
        required=False,
        help_text="The target then holds for all accounts together, and each investment lies where "
        "it is taxed least.",
    )
    carried_short_loss = _amount(
        "Short-term losses carried in", "From earlier tax years, not used yet."
    )
    carried_long_loss = _amount(
        "Long-term losses carried in", "From earlier tax years, not used yet."
    )
    gains_budget = _amount(
        "Gains budget",
        "Net gains that this year may realise in all. Empty: no limit.",
        required=False,
    )
    loss_cap = _amount(
        "Losses set against income",
        "A year at most. Empty: what the law allows, 3,000 in the United States, or 1,500 for a "
        "spouse who files separately.",
        required=False,
    )
    deduction_rate = _percent(
        "Tax rate on other income",
        "What a loss set against income saves. Empty: the rate on gains of a year or less.",
        required=False,
    )
    carried_share = _percent(
        "Worth of a loss carried on",
        "A loss that waits for later years is worth this much of what it would save now.",
    )
    discount_rate = _percent("Discount rate", "By how much a year tax paid later weighs less.")
    deferral_years = forms.DecimalField(
        label="Years until a gain is taxed",
        help_text="If it is not realised now.",
        min_value=0,
        max_value=DEFERRAL_YEARS_MAX,
        max_digits=5,
        decimal_places=2,
    )
    realised_share = _percent(
        "Chance that it is taxed then",
        "0 counts today's tax in full. With 100, only the years won by waiting count. Money left "
        "to heirs or given away lies in between.",
    )


class HouseholdForm(TaxRatesForm):
    """A new household."""

    field_order = ("name", "short_term_rate", "long_term_rate")
    name = forms.CharField(max_length=120, help_text="As the advisors will know it.")


class AssignmentForm(forms.Form):
    """An advisor for a household."""

    advisor: "forms.ModelChoiceField[Any]" = forms.ModelChoiceField(
        queryset=None, to_field_name="public_id", empty_label="Pick one"
    )
    is_lead = forms.BooleanField(label="Leads the advice", required=False)

    def __init__(self, user: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        advisors = visible_users(user).filter(role=Role.ADVISOR, is_active=True)
        _offer(self, "advisor", advisors.order_by("name"))


class SupportForm(forms.Form):
    """An operator's question to look at one household."""

    household = forms.UUIDField(
        label="Household's id", help_text="As its people or its advisor read it out to you."
    )
    reason = forms.CharField(max_length=300, help_text="What you were asked to look into.")
    hours = forms.IntegerField(label="Hours", min_value=1, max_value=24, initial=1)


class ReleaseForm(forms.Form):
    """How a restored database was compared with the broker, before anything is sent again."""

    note = forms.CharField(
        label="How it was reconciled",
        max_length=300,
        help_text="Which positions, cash and open orders you compared with the broker, and when.",
    )


class JournalForm(forms.Form):
    """What to look for in the journal."""

    words = forms.CharField(label="Words", max_length=80, required=False)
    area = forms.ChoiceField(choices=list(JOURNAL_AREAS.items()), required=False)
    from_date = forms.DateField(
        label="From", required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    to_date = forms.DateField(
        label="To", required=False, widget=forms.DateInput(attrs={"type": "date"})
    )


def _question_fields(question: Question) -> dict[str, forms.Field]:
    """Return the field of a question; one that asks for a figure has a box for not knowing."""
    if question.choices:
        choices = [(choice.code, choice.label) for choice in question.choices]
        field: forms.Field = forms.ChoiceField(
            label=question.text,
            help_text=question.help_text,
            choices=[*choices, (UNSURE, "I don't know")],
            widget=forms.RadioSelect,
            error_messages={"required": "Please answer this question."},
        )
        return {question.code: field}
    attributes = {"inputmode": "decimal", "autocomplete": "off"}
    if question.code == "horizon_years":
        attributes = {
            "inputmode": "numeric",
            "min": str(HORIZON_YEARS_MIN),
            "max": str(HORIZON_YEARS_MAX),
        }
    # Text, not a number field: the domain reads the figure, and says what is wrong with it.
    figure = forms.CharField(
        label=question.text,
        help_text=question.help_text,
        max_length=20,
        error_messages={"required": "Please answer this question."},
        widget=forms.TextInput(attrs=attributes),
    )
    unsure = forms.BooleanField(label="I don't know", required=False)
    return {question.code: figure, f"{question.code}_{UNSURE}": unsure}


def _offer(form: forms.Form, name: str, rows: QuerySet[Any]) -> None:
    field = form.fields[name]
    if isinstance(field, forms.ModelChoiceField):
        field.queryset = rows
