"""Forms of the controls: what to stop and why, halts, and limits in the units people think in."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import forms

from rebalancer.domain.kinds import BrokerKind
from rebalancer.domain.limits import (
    BOUNDS,
    CHOICES,
    FIELD_NAMES,
    LABELS,
    UNITS,
    Limits,
    SwitchScope,
)

REASON_LENGTH_MAX = 300
SYMBOL_LENGTH_MAX = 24
HUNDRED = Decimal(100)
SHARE_STEP = Decimal("0.0001")
SCOPE_WORDS = {
    SwitchScope.FIRM: "All trading of the firm",
    SwitchScope.SECURITY: "One security",
    SwitchScope.BROKER: "Everything sent to one broker",
    SwitchScope.ALL: "All firms of this installation",
}
HELP = {
    "order_amount_max": "A larger order blocks its account's whole plan.",
    "volume_share_max": "Of the shares that trade on a usual day, where that is known.",
    "collar_bps": "Orders trade at most so far from the newest price.",
    "account_turnover_max": "Bought and sold together, of the account's value.",
    "account_gain_max": "Gains less losses that its sales realise.",
    "firm_amount_max": "Bought and sold together.",
    "rate_per_minute": "What exceeds it waits for the next minute.",
    "duplicate_minutes": "Same account, security, side and quantity. 0: not looked for.",
    "cool_down_days": "Between rebalances that nobody asked for. 0: none.",
    "settlement_days": "A buy may be paid from sales that settle by then.",
    "slice_strategy": "Where a security's daily volume is known; any other goes whole.",
    "slice_share_min": "What is smaller goes whole.",
    "participation_max": "What exceeds it in a day is not traded, and planned anew.",
    "risk_aversion": "In millionths; 0: evenly. Counts for the schedule by risk.",
    "cost_source": "Measured: from at least 20 blocks of a security, see Execution.",
}


class ReasonForm(forms.Form):
    """A reason in a few words."""

    reason = forms.CharField(
        max_length=REASON_LENGTH_MAX,
        error_messages={"required": "Say why, in a few words."},
        help_text="Kept on record.",
    )


class StopForm(ReasonForm):
    """What to stop, and why."""

    scope = forms.ChoiceField(label="Stop", widget=forms.RadioSelect)
    symbol = forms.CharField(
        max_length=SYMBOL_LENGTH_MAX, required=False, help_text="Of the one security."
    )
    broker = forms.ChoiceField(
        choices=[("", "—"), *((kind.value, kind.value.title()) for kind in BrokerKind)],
        required=False,
    )
    field_order = ("scope", "symbol", "broker", "reason")

    def __init__(
        self, *args: Any, scopes: list[SwitchScope], security_ids: Mapping[str, int], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.security_ids = {symbol.casefold(): pk for symbol, pk in security_ids.items()}
        scope = self.fields["scope"]
        if isinstance(scope, forms.ChoiceField):
            scope.choices = [(one.value, SCOPE_WORDS[one]) for one in scopes]

    def clean(self) -> dict[str, Any]:
        """Keep what the scope needs, and miss what it lacks."""
        values = super().clean() or {}
        scope = values.get("scope")
        symbol, broker = values.pop("symbol", "").strip(), values.pop("broker", "")
        if scope == SwitchScope.SECURITY:
            values["security_id"] = self.security_ids.get(symbol.casefold())
            if values["security_id"] is None:
                self.add_error(
                    "symbol",
                    f"The firm has no security {symbol}." if symbol else "Which security?",
                )
        elif scope == SwitchScope.BROKER:
            values["broker"] = broker
            if not broker:
                self.add_error("broker", "Which broker?")
        return values


class HaltForm(ReasonForm):
    """A security that is not sent to market for the time being."""

    symbol = forms.CharField(max_length=SYMBOL_LENGTH_MAX)
    until = forms.DateTimeField(
        required=False,
        label="Until (UTC)",
        help_text="Empty: until somebody lifts it.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    field_order = ("symbol", "until", "reason")

    def __init__(self, *args: Any, security_ids: Mapping[str, int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.security_ids = {symbol.casefold(): pk for symbol, pk in security_ids.items()}

    def clean_symbol(self) -> int:
        """Return the id of the security that is meant."""
        symbol = self.cleaned_data["symbol"].strip()
        found = self.security_ids.get(symbol.casefold())
        if found is None:
            raise forms.ValidationError(f"The firm has no security {symbol}.")
        return found


class LimitsDecisionForm(forms.Form):
    """A yes or no to proposed limits."""

    decision = forms.ChoiceField(choices=[("approve", "Approve"), ("refuse", "Refuse")])
    note = forms.CharField(
        max_length=REASON_LENGTH_MAX, required=False, help_text="Needed when you refuse."
    )


class LimitsForm(ReasonForm):
    """Limits; cleaned values are those of the rules, shares as fractions of one."""

    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        initial = {name: _show(name, getattr(limits, name)) for name in FIELD_NAMES}
        super().__init__(*args, **{"initial": initial, **kwargs})
        for name in FIELD_NAMES:
            self.fields[name] = _build_field(name)
        self.order_fields([*FIELD_NAMES, "reason"])

    def read_values(self) -> dict[str, Any]:
        """Return the limits that were asked for; call it on a valid form."""
        return {
            name: _read(name, value)
            for name, value in self.cleaned_data.items()
            if name in FIELD_NAMES
        }


def _build_field(name: str) -> forms.Field:
    unit = UNITS.get(name, "")
    label, help_text = LABELS[name], HELP.get(name, "")
    if name in CHOICES:
        choices = list(CHOICES[name].items())
        return forms.ChoiceField(label=label, help_text=help_text, choices=choices)
    low, high = BOUNDS[name]
    if isinstance(low, int):
        return forms.IntegerField(
            label=label, help_text=help_text, min_value=low, max_value=int(high)
        )
    factor = HUNDRED if unit == "share" else Decimal(1)
    return forms.DecimalField(
        label=f"{label}, {'percent' if unit == 'share' else 'basis points'}"
        if unit in ("share", "bps")
        else label,
        help_text=help_text,
        min_value=low * factor,
        max_value=high * factor,
        decimal_places=2,
        max_digits=18,
    )


def _show(name: str, value: Decimal | int | str) -> Decimal | int | str:
    if name in CHOICES:
        return value
    if UNITS.get(name) == "share":
        return (Decimal(value) * HUNDRED).quantize(Decimal("0.01"))
    return Decimal(value).quantize(Decimal("0.01")) if isinstance(value, Decimal) else value


def _read(name: str, value: Decimal | int | str) -> Decimal | int | str:
    if UNITS.get(name) == "share":
        return (Decimal(value) / HUNDRED).quantize(SHARE_STEP)
    return value
