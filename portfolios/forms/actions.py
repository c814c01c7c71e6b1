"""Shape and check what people type about corporate actions, dividends and breaks."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms

from portfolios.domain.kinds import ActionKind

Choices = Sequence[tuple[str, str]]
KIND_WORDS = {
    ActionKind.SPLIT: "Split",
    ActionKind.REVERSE_SPLIT: "Reverse split",
    ActionKind.SYMBOL_CHANGE: "Change of symbol",
    ActionKind.CASH_DIVIDEND: "Cash dividend",
    ActionKind.CASH_MERGER: "Merger for cash",
    ActionKind.DELISTING: "No longer listed",
}
REINVEST, KEEP_CASH, NO_CHOICE = "reinvest", "cash", "none"


def _date(**facts: Any) -> forms.DateField:
    return forms.DateField(widget=forms.DateInput(attrs={"type": "date"}), **facts)


class ActionForm(forms.Form):
    """A corporate action as a company announced it."""

    security = forms.TypedChoiceField(coerce=int)
    kind = forms.ChoiceField(choices=[(kind, words) for kind, words in KIND_WORDS.items()])
    effective_date = _date(
        label="Effective on",
        help_text="The first market day it holds on; of a dividend the ex-date.",
    )
    pay_date = _date(
        required=False, label="Paid on", help_text="Of a dividend; empty: on the ex-date."
    )
    new_shares = forms.IntegerField(
        required=False, min_value=1, help_text="Of a split: so many new shares …"
    )
    old_shares = forms.IntegerField(
        required=False, min_value=1, help_text="… for so many old ones. 2 for 1 doubles them."
    )
    new_symbol = forms.CharField(required=False, max_length=24)
    cash_per_share = forms.DecimalField(
        required=False, max_digits=13, decimal_places=6, help_text="Of a dividend or a merger."
    )
    source = forms.CharField(
        required=False,
        max_length=120,
        label="Where you read it",
        help_text="For whoever checks it.",
    )

    def __init__(self, *args: Any, securities: Choices, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["security"].choices = securities  # type: ignore[attr-defined]


class AssignForm(forms.Form):
    """Who is to settle a break."""

    owner = forms.TypedChoiceField(coerce=int)

    def __init__(self, *args: Any, owners: Choices, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["owner"].choices = owners  # type: ignore[attr-defined]


class CloseBreakForm(forms.Form):
    """How a break was settled; an adjustment is only asked for, and another person books it."""

    theirs = forms.DecimalField(
        max_digits=28,
        decimal_places=8,
        label="What the broker says now",
        help_text="Shares, or cash where the break is about cash.",
    )
    is_adjusted = forms.BooleanField(
        required=False,
        label="Book the difference into our books",
        help_text="A supervisor other than you books it. Leave this empty where both agree again.",
    )
    cost = forms.DecimalField(
        required=False,
        max_digits=20,
        decimal_places=2,
        min_value=Decimal(0),
        label="What shares that turned up have cost in all",
    )
    note = forms.CharField(max_length=300, label="How it was settled")


class ReinvestmentForm(forms.Form):
    """What becomes of an account's dividends."""

    security = forms.TypedChoiceField(
        required=False,
        coerce=int,
        empty_value=None,
        help_text="The choice for one security counts before the one for all.",
    )
    choice = forms.ChoiceField(
        choices=[
            (REINVEST, "Buy more of what paid it"),
            (KEEP_CASH, "Keep the cash"),
            (NO_CHOICE, "No choice of its own"),
        ],
        label="Dividends",
    )

    def __init__(self, *args: Any, securities: Choices, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["security"].choices = [  # type: ignore[attr-defined]
            ("", "All securities"),
            *securities,
        ]

    @property
    def reinvests(self) -> bool | None:
        """Return the choice; None where it is withdrawn."""
        return {REINVEST: True, KEEP_CASH: False}.get(self.cleaned_data["choice"])
