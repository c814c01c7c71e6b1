"""What people may send: shapes and limits of the forms; nothing here saves."""

import uuid
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms

from rebalancer.domain.kinds import (
    BandLevel,
    BandMeasure,
    Destination,
    MarketMove,
    Schedule,
    Trigger,
)
from rebalancer.domain.lifecycle import OrderStatus
from rebalancer.domain.policy import PolicyTerms
from rebalancer.domain.schedule import CronLineRefused, check_cron_line

AMOUNT_MAX = Decimal("1000000000")
AMOUNT_ERRORS = {
    "invalid": "Write an amount such as 1500 or 1500.00.",
    "min_value": "The amount must be at least one cent.",
    "max_value": "That is more than can be moved here at once.",
    "max_decimal_places": "An amount has at most two decimals.",
}
NOTE_LENGTH_MAX = 500
CHOICES_MAX = 500
HUNDRED = Decimal(100)
WEIGHT_STEP = Decimal("0.00000001")


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


def _percent(label: str, help_text: str, *, maximum: int = 100) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        help_text=help_text,
        min_value=Decimal(0),
        max_value=Decimal(maximum),
        decimal_places=4,
        widget=forms.TextInput(attrs={"inputmode": "decimal"}),
    )


class PolicyForm(forms.Form):
    """A policy in the units that people think in: percentage points, percent, currency."""

    name = forms.CharField(max_length=80)
    trigger = forms.ChoiceField(
        label="Acts",
        choices=[
            (Trigger.THRESHOLD, "When a band is left (looks every trading day)"),
            (Trigger.COMBINED, "When a band is left, on the days of a schedule"),
            (Trigger.CALENDAR, "On the days of a schedule, whatever the drift"),
        ],
    )
    schedule = forms.ChoiceField(
        label="Schedule",
        choices=[
            (Schedule.DAILY, "Every trading day"),
            (Schedule.MONTHLY, "Every month"),
            (Schedule.QUARTERLY, "Every quarter"),
            (Schedule.ANNUAL, "Every year"),
            (Schedule.CRON, "A line of my own"),
        ],
    )
    cron_line = forms.CharField(
        required=False,
        max_length=60,
        label="Schedule line",
        help_text="Minute, hour, day, month, weekday; for instance “0 16 15 * *” is the 15th.",
    )
    band_level = forms.ChoiceField(
        label="Bands around",
        choices=[
            (BandLevel.ASSET_CLASS, "Asset classes"),
            (BandLevel.SECURITY, "Single securities"),
        ],
    )
    band_measure = forms.ChoiceField(
        label="Band width",
        choices=[
            (BandMeasure.ABSOLUTE, "Points of weight"),
            (BandMeasure.RELATIVE, "Share of the target"),
            (BandMeasure.WIDER, "The wider of the two"),
            (BandMeasure.NARROWER, "The narrower of the two"),
        ],
    )
    absolute_band = _percent("Band in points", "5 means: 5 points either side of the target.")
    relative_band = _percent("Band as share", "20 means: 20% of the target weight either side.")
    band_floor = _percent("Narrowest band", "No band is narrower than this, in points.")
    destination = forms.ChoiceField(
        label="Trades go",
        choices=[
            (Destination.TARGET, "All the way to target"),
            (Destination.BAND_EDGE, "Back to the edge of the band"),
        ],
    )
    min_trade_amount = forms.DecimalField(
        label="Smallest trade", min_value=Decimal(0), max_value=AMOUNT_MAX, decimal_places=2
    )
    cash_floor_amount = forms.DecimalField(
        label="Cash never below", min_value=Decimal(0), max_value=AMOUNT_MAX, decimal_places=2
    )
    need_horizon_days = forms.IntegerField(
        label="Raise cash for needs within",
        min_value=0,
        max_value=365,
        help_text="Days ahead of the date when the money is needed.",
    )
    approval_hours_max = forms.IntegerField(
        label="A proposal waits at most", min_value=1, max_value=24 * 30
    )
    price_tolerance = _percent("Approval lapses when a price moves by", "In percent.")
    is_active = forms.BooleanField(required=False, label="In use", initial=True)

    PERCENT_FIELDS = ("absolute_band", "relative_band", "band_floor", "price_tolerance")

    def clean(self) -> dict[str, Any]:
        """Turn percent into fractions, and read the schedule line as the scheduler does."""
        values = super().clean() or {}
        for name in self.PERCENT_FIELDS:
            if name in values:
                values[name] = (values[name] / HUNDRED).quantize(WEIGHT_STEP)
        line = values.get("cron_line", "")
        if values.get("schedule") == Schedule.CRON:
            if not line:
                self.add_error("cron_line", "Write the schedule line, or choose another schedule.")
            else:
                try:
                    check_cron_line(line)
                except CronLineRefused as error:
                    self.add_error("cron_line", f"That is no schedule: {error}.")
        elif line:
            values["cron_line"] = ""
        return values

    def read_terms(self, policy_id: int = 0) -> PolicyTerms:
        """Return a valid form as terms, for the sentence that explains the rule."""
        values = self.cleaned_data
        return PolicyTerms(
            policy_id=policy_id,
            trigger=Trigger(values["trigger"]),
            schedule=Schedule(values["schedule"]),
            cron_line=values["cron_line"],
            band_level=BandLevel(values["band_level"]),
            band_measure=BandMeasure(values["band_measure"]),
            absolute_band=values["absolute_band"],
            relative_band=values["relative_band"],
            band_floor=values["band_floor"],
            destination=Destination(values["destination"]),
            min_trade_amount=values["min_trade_amount"],
            cash_floor_amount=values["cash_floor_amount"],
            need_horizon_days=values["need_horizon_days"],
            approval_hours_max=values["approval_hours_max"],
            price_tolerance=values["price_tolerance"],
        )


def fill_policy_form(terms: PolicyTerms, *, name: str, is_active: bool) -> dict[str, Any]:
    """Return terms as the initial values of a policy form."""
    return {
        "name": name,
        "is_active": is_active,
        "trigger": terms.trigger,
        "schedule": terms.schedule,
        "cron_line": terms.cron_line,
        "band_level": terms.band_level,
        "band_measure": terms.band_measure,
        "destination": terms.destination,
        "min_trade_amount": terms.min_trade_amount,
        "cash_floor_amount": terms.cash_floor_amount,
        "need_horizon_days": terms.need_horizon_days,
        "approval_hours_max": terms.approval_hours_max,
        **{
            field: f"{(getattr(terms, field) * HUNDRED).normalize():f}"
            for field in PolicyForm.PERCENT_FIELDS
        },
    }
