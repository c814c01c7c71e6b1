"""What people may send: shapes and limits of the forms; nothing here saves.

The form of a policy has a file of its own.
"""

import uuid
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms

from rebalancer.domain.kinds import MarketMove
from rebalancer.domain.lifecycle import OrderStatus

AMOUNT_MAX = Decimal("1000000000")
AMOUNT_ERRORS = {
    "invalid": "Write an amount such as 1500 or 1500.00.",
    "min_value": "The amount must be at least one cent.",
    "max_value": "That is more than can be moved here at once.",
    "max_decimal_places": "An amount has at most two decimals.",
}
NOTE_LENGTH_MAX = 500
CHOICES_MAX = 500


class DecisionForm(forms.Form):
    """A yes or no to the proposal that was seen."""

    decision = forms.ChoiceField(choices=[("approve", "Approve"), ("reject", "Reject")])
    content_hash = forms.CharField(max_length=64)
    note = forms.CharField(
        max_length=NOTE_LENGTH_MAX,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Kept with the decision. Needed when you reject.",
    )

    def clean(self) -> dict[str, Any]:
        """A rejection says why."""
        values = super().clean() or {}
        if values.get("decision") == "reject" and not values.get("note"):
            self.add_error("note", "Say in a few words why you reject it.")
        return values


class AnswerForm(forms.Form):
    """A client's yes or no to the trades that they saw."""

    answer = forms.ChoiceField(choices=[("yes", "Yes"), ("no", "No")])
    content_hash = forms.CharField(max_length=64)
    note = forms.CharField(
        label="Anything you want to add",
        max_length=300,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class TradeChoiceForm(forms.Form):
    """The trades that a person wants out of a proposal."""

    trade = forms.TypedMultipleChoiceField(
        coerce=int, error_messages={"required": "Choose at least one trade to remove."}
    )

    def __init__(self, *args: Any, trade_ids: list[int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["trade"]
        if isinstance(field, forms.TypedMultipleChoiceField):
            field.choices = [(str(trade_id), str(trade_id)) for trade_id in trade_ids]


class BulkForm(forms.Form):
    """Proposals to approve at once, each as it was seen: "public id:content hash"."""

    note = forms.CharField(max_length=NOTE_LENGTH_MAX, required=False)

    def __init__(self, *args: Any, choices: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.choices = choices
        self.chosen: dict[UUID, str] = {}

    def clean(self) -> dict[str, Any]:
        """Read the choices; what is no choice at all was not made on our page."""
        if not self.choices:
            raise forms.ValidationError("Choose at least one proposal.")
        if len(self.choices) > CHOICES_MAX:
            raise forms.ValidationError(f"Approve at most {CHOICES_MAX} at once.")
        for choice in self.choices:
            public_id, _, content_hash = choice.partition(":")
            try:
                self.chosen[UUID(public_id)] = content_hash
            except ValueError:
                raise forms.ValidationError("The selection could not be read.") from None
        return super().clean() or {}


class CashForm(forms.Form):
    """Money that comes or goes. The token makes a second click harmless."""

    amount = forms.DecimalField(
        label="Amount",
        min_value=Decimal("0.01"),
        max_value=AMOUNT_MAX,
        decimal_places=2,
        error_messages=AMOUNT_ERRORS,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    token = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)

    def __init__(self, *args: Any, label: str = "Amount", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["amount"].label = label


class CashNeedForm(forms.Form):
    """Money to have ready by a date."""

    amount = forms.DecimalField(
        min_value=Decimal("0.01"),
        max_value=AMOUNT_MAX,
        decimal_places=2,
        error_messages=AMOUNT_ERRORS,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    due_date = forms.DateField(
        label="Needed by", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    purpose = forms.CharField(max_length=120, label="What for")


class OrderFilterForm(forms.Form):
    """What the blotter should show."""

    status = forms.ChoiceField(
        required=False,
        choices=[
            ("", "Any status"),
            ("OPEN", "Still open"),
            *((s.value, s.value.replace("_", " ").capitalize()) for s in OrderStatus),
        ],
    )
    side = forms.ChoiceField(
        required=False, choices=[("", "Buys and sells"), ("BUY", "Buys"), ("SELL", "Sells")]
    )
    symbol = forms.CharField(required=False, max_length=24, label="Security")
    search = forms.CharField(required=False, max_length=80, label="Household or order id")
    since_date = forms.DateField(
        required=False, label="From", widget=forms.DateInput(attrs={"type": "date"})
    )
    until_date = forms.DateField(
        required=False, label="To", widget=forms.DateInput(attrs={"type": "date"})
    )


class MarketForm(forms.Form):
    """What to do to the simulated market."""

    move = forms.TypedChoiceField(choices=[(m, m) for m in MarketMove], coerce=MarketMove)


class AssignForm(forms.Form):
    """Accounts that should follow a policy."""

    account = forms.MultipleChoiceField(error_messages={"required": "Choose at least one account."})

    def __init__(self, *args: Any, account_ids: list[UUID], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["account"]
        if isinstance(field, forms.MultipleChoiceField):
            field.choices = [(str(account_id), str(account_id)) for account_id in account_ids]
