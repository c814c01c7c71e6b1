"""The form of what an advisor would change about a proposal: way of trading, budget, wishes."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django import forms

from rebalancer.domain.kinds import Mode
from rebalancer.forms import AMOUNT_ERRORS, AMOUNT_MAX
from rebalancer.queries.pages.alternatives import OFFERED_MODES, Tradable, WhatIf
from rebalancer.queries.pages.words import MODE_LABELS


class WhatIfForm(forms.Form):
    """What would be otherwise; what is left blank stays as the proposal has it."""

    mode = forms.ChoiceField(
        required=False,
        label="Way of trading",
        error_messages={"invalid_choice": "There is no such way of trading."},
    )
    gains_budget = forms.DecimalField(
        required=False,
        label="Gains budget of this year",
        help_text="Net gains that the household may realise in all. Blank: as it is.",
        min_value=Decimal(0),
        max_value=AMOUNT_MAX,
        decimal_places=2,
        error_messages={
            **AMOUNT_ERRORS,
            "min_value": "The budget cannot be below zero.",
            "max_value": "That is more than any budget can be.",
        },
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    never_buy = forms.MultipleChoiceField(
        required=False,
        error_messages={"invalid_choice": "%(value)s is not held or wanted here."},
    )
    never_sell = forms.MultipleChoiceField(
        required=False,
        error_messages={"invalid_choice": "%(value)s is not held or wanted here."},
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        tradable: Sequence[Tradable],
        kept_mode: str,
    ) -> None:
        super().__init__(data, auto_id="what_if_%s")
        self.tradable = tradable
        choices = {
            "mode": [
                ("", f"As it is ({MODE_LABELS[kept_mode].lower()})"),
                *((mode.value, MODE_LABELS[mode]) for mode in OFFERED_MODES),
            ],
            "never_buy": [(row.symbol, row.symbol) for row in tradable if not row.is_never_bought],
            "never_sell": [(row.symbol, row.symbol) for row in tradable if not row.is_never_sold],
        }
        for name, pairs in choices.items():
            field = self.fields[name]
            if isinstance(field, forms.ChoiceField):
                field.choices = pairs

    def read(self) -> WhatIf:
        """Return a valid form's wishes."""
        values = self.cleaned_data
        return WhatIf(
            mode=Mode(values["mode"]) if values["mode"] else None,
            gains_budget=values["gains_budget"],
            never_buy=tuple(values["never_buy"]),
            never_sell=tuple(values["never_sell"]),
        )

    def list_errors(self) -> list[str]:
        """Return what is wrong, field after field, in sentences."""
        return [str(text) for texts in self.errors.values() for text in texts]
