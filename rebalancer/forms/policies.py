"""The form of a policy, in the units that people think in: points, percent, currency, days."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import forms

from portfolios.domain.tax.lot_methods import LotMethod
from rebalancer.domain.kinds import (
    BandLevel,
    BandMeasure,
    CapKind,
    Destination,
    DriftMeasure,
    Schedule,
    Trigger,
)
from rebalancer.domain.policy import CapTerms, PolicyTerms
from rebalancer.domain.schedule import CronLineRefused, check_cron_line
from rebalancer.forms import AMOUNT_MAX
from rebalancer.queries.books import PLAIN_TERMS, read_caps

HUNDRED = Decimal(100)
WEIGHT_STEP = Decimal("0.00000001")
CAP_WORDS: Mapping[str, CapKind] = {
    "class": CapKind.ASSET_CLASS,
    "sector": CapKind.SECTOR,
    "issuer": CapKind.ISSUER,
    "security": CapKind.SECURITY,
}
# Shown with their cents.
AMOUNT_FIELDS = frozenset(
    {
        "min_trade_amount",
        "cash_floor_amount",
        "ticket_price",
        "commission_fixed",
        "harvest_benefit_min",
    }
)
CAP_LINE = re.compile(
    rf"({'|'.join(CAP_WORDS)})\s+(\S(?:.*\S)?)\s+(\d{{1,3}}(?:\.\d{{1,4}})?)\s*%", re.IGNORECASE
)


def _percent(
    label: str,
    help_text: str,
    *,
    minimum: str = "0",
    maximum: int = 100,
    required: bool = True,
) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        help_text=help_text,
        required=required,
        min_value=Decimal(minimum),
        max_value=Decimal(maximum),
        decimal_places=4,
        widget=forms.TextInput(attrs={"inputmode": "decimal"}),
    )


def _amount(label: str, help_text: str = "") -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        help_text=help_text,
        min_value=Decimal(0),
        max_value=AMOUNT_MAX,
        decimal_places=2,
    )


def _figure(
    label: str, help_text: str, *, minimum: str = "0", maximum: int = 1000
) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        help_text=help_text,
        min_value=Decimal(minimum),
        max_value=Decimal(maximum),
        decimal_places=3,
    )


def _count(label: str, help_text: str, *, maximum: int, minimum: int = 0) -> forms.IntegerField:
    return forms.IntegerField(
        label=label, help_text=help_text, min_value=minimum, max_value=maximum
    )


class PolicyForm(forms.Form):
    """A policy; its cleaned values are the columns of the table."""

    name = forms.CharField(max_length=80)
    is_active = forms.BooleanField(required=False, label="In use", initial=True)

    # --- When to act
    trigger = forms.ChoiceField(
        label="Acts",
        choices=[
            (Trigger.THRESHOLD, "When a band is left (looks every trading day)"),
            (Trigger.COMBINED, "When a band is left, on the days of a schedule"),
            (Trigger.CALENDAR, "On the days of a schedule, whatever the drift"),
            (Trigger.RISK, "When it may stray too far from the model (looks every trading day)"),
            (Trigger.ECONOMIC, "When it gains more than it costs (looks every trading day)"),
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
    tracking_error_max = _percent(
        "Largest risk of straying",
        "For acting on risk: how far a year's return may usually differ from the model's.",
    )
    hurdle_bps = _figure(
        "Smallest gain",
        "A plan that gains less, as a part of the value, is not proposed. 1 bp is a hundredth of a "
        "percent.",
    )

    # --- How far
    destination = forms.ChoiceField(
        label="Trades go",
        choices=[
            (Destination.TARGET, "All the way to target"),
            (Destination.BETWEEN, "Part of the way past the edge of the band"),
            (Destination.BAND_EDGE, "Back to the edge of the band"),
        ],
    )
    destination_share = _percent(
        "Part of the way", "0 is the edge of the band, 100 the target; for the middle choice."
    )
    drift_measure = forms.ChoiceField(
        label="Distance counts by",
        choices=[
            (DriftMeasure.WEIGHT, "Weight: each point off target"),
            (DriftMeasure.RISK, "Risk: what moves alike may stand in for each other"),
        ],
    )
    risk_aversion = _figure(
        "Dislike of risk", "For distance by risk; 4 is usual, more corrects more.", minimum="0.001"
    )
    risk_horizon_years = _figure(
        "Years a drift would last",
        "For distance by risk: how long it would stay if nothing were done.",
        minimum="0.001",
        maximum=100,
    )

    # --- Costs
    willingness = _percent(
        "Worth paying",
        "At five points off target, correcting may cost up to this part of what is traded, tax "
        "included. 2.5 suits most; 500 corrects whatever the tax.",
        minimum="0.0001",
        maximum=500,
    )
    ticket_price = _amount("One trade fewer is worth", "Keeps small trades few; no cash moves.")
    commission_fixed = _amount("Commission", "Paid for each trade.")
    commission_bps = _figure("Commission by value", "Paid on what is traded.")
    min_trade_amount = _amount("Smallest trade")

    # --- Taxes
    lot_method = forms.ChoiceField(
        label="Sells first",
        choices=[
            (LotMethod.LEAST_TAX, "The lots that cost the least tax"),
            (LotMethod.HIFO, "The lots bought at the highest price"),
            (LotMethod.FIFO, "The oldest lots"),
            (LotMethod.LIFO, "The newest lots"),
            (LotMethod.LOFO, "The lots bought at the lowest price"),
            (LotMethod.AVERAGE, "The oldest lots, at average cost"),
        ],
        help_text="Where the law prescribes an order, it holds instead.",
    )
    harvests_losses = forms.BooleanField(
        required=False,
        label="Harvest losses",
        help_text="Sells at a loss what a substitute can stand in for, to save tax.",
    )
    harvest_benefit_min = _amount("A harvest saves at least", "In tax, after its costs.")
    harvest_drift_max = _percent(
        "Harvests may move it by", "So many points further off target in all, at most."
    )
    hold_for_long_term_days = _count(
        "Wait for long-term",
        "Keep a gain that turns long-term within so many days. 0: do not wait.",
        maximum=366,
    )
    transition_years = _count(
        "Years of transition",
        "Spread the gains of an old portfolio over so many tax years. 0: do not spread.",
        maximum=30,
    )
    transition_start_year = forms.IntegerField(
        required=False, label="First year of transition", min_value=2000, max_value=2200
    )

    # --- Limits
    caps = forms.CharField(
        required=False,
        label="Never more than",
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "class US equity 60%"}),
        help_text="One limit a line: “class”, “sector”, “issuer” or “security”, its name, and the "
        "largest weight, such as “issuer Meridian 40%”.",
    )
    turnover_max = _percent(
        "Largest turnover",
        "Buys and sells of one plan together, of the value. Empty: no limit.",
        maximum=200,
        required=False,
    )
    cash_floor_amount = _amount("Cash never below")
    need_horizon_days = _count(
        "Raise cash for needs within",
        "Days ahead of the date when the money is needed.",
        maximum=365,
    )
    approval_hours_max = _count("A proposal waits at most", "", minimum=1, maximum=24 * 30)
    price_tolerance = _percent("Approval lapses when a price moves by", "In percent.")

    PERCENT_FIELDS = (
        "absolute_band",
        "relative_band",
        "band_floor",
        "price_tolerance",
        "tracking_error_max",
        "destination_share",
        "willingness",
        "harvest_drift_max",
        "turnover_max",
    )

    def clean_caps(self) -> list[dict[str, str]]:
        """Read one cap a line; whether its name is known is for the operation to say."""
        caps = []
        for line in self.cleaned_data["caps"].splitlines():
            if not line.strip():
                continue
            match = CAP_LINE.fullmatch(line.strip())
            if match is None:
                raise forms.ValidationError(
                    f"“{line.strip()[:60]}” is no limit. Write it like “class US equity 60%”."
                )
            word, name, percent = match.groups()
            weight = Decimal(percent) / HUNDRED
            if weight > 1:
                raise forms.ValidationError(f"“{line.strip()[:60]}” is more than 100%.")
            caps.append(
                {"kind": str(CAP_WORDS[word.lower()]), "name": name, "max_weight": f"{weight:f}"}
            )
        return caps

    def clean(self) -> dict[str, Any]:
        """Turn percent into fractions, and read the schedule line as the scheduler does."""
        values = super().clean() or {}
        for name in self.PERCENT_FIELDS:
            if values.get(name) is not None:
                values[name] = (values[name] / HUNDRED).quantize(WEIGHT_STEP)
        if "transition_start_year" in values:
            values["transition_start_year"] = values["transition_start_year"] or 0
            if values.get("transition_years") and not values["transition_start_year"]:
                self.add_error("transition_start_year", "Say in which year it begins.")
        self._clean_cron_line(values)
        return values

    def _clean_cron_line(self, values: dict[str, Any]) -> None:
        line = values.get("cron_line", "")
        if values.get("schedule") != Schedule.CRON:
            values["cron_line"] = ""
        elif not line:
            self.add_error("cron_line", "Write the schedule line, or choose another schedule.")
        else:
            try:
                check_cron_line(line)
            except CronLineRefused as error:
                self.add_error("cron_line", f"That is no schedule: {error}.")

    def read_terms(self, policy_id: int = 0) -> PolicyTerms:
        """Return a valid form as terms, for the sentence that explains the rule."""
        values = self.cleaned_data
        return PolicyTerms(
            policy_id=policy_id,
            trigger=Trigger(values["trigger"]),
            schedule=Schedule(values["schedule"]),
            band_level=BandLevel(values["band_level"]),
            band_measure=BandMeasure(values["band_measure"]),
            destination=Destination(values["destination"]),
            drift_measure=DriftMeasure(values["drift_measure"]),
            lot_method=LotMethod(values["lot_method"]),
            caps=read_caps(values["caps"]),
            **{name: values[name] for name in PLAIN_TERMS},
        )


def fill_policy_form(terms: PolicyTerms, *, name: str, is_active: bool) -> dict[str, Any]:
    """Return terms as the initial values of a policy form."""
    values: dict[str, Any] = {"name": name, "is_active": is_active}
    for field in PolicyForm.base_fields:
        if field in values:
            continue
        value = getattr(terms, field)
        if field in PolicyForm.PERCENT_FIELDS and value is not None:
            value = _trim(value * HUNDRED)
        elif isinstance(value, Decimal) and field not in AMOUNT_FIELDS:
            value = _trim(value)
        values[field] = value
    values["caps"] = "\n".join(_write_cap(cap) for cap in terms.caps)
    values["transition_start_year"] = terms.transition_start_year or None
    return values


def _write_cap(cap: CapTerms) -> str:
    [word] = [word for word, kind in CAP_WORDS.items() if kind is cap.kind]
    return f"{word} {cap.name} {_trim(cap.max_weight * HUNDRED)}%"


def _trim(number: Decimal) -> str:
    return f"{number.normalize():f}"
