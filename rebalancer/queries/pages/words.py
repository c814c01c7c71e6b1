"""Codes as sentences: why an account was looked at, what a policy does, what a status means.

Whoever reads a page needs no glossary; whoever adds a code adds its words here.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from rebalancer.domain.kinds import (
    BandLevel,
    BandMeasure,
    Cause,
    Destination,
    DriftMeasure,
    Mode,
    Path,
    Schedule,
    Trigger,
)
from rebalancer.domain.lifecycle import ProposalStatus
from rebalancer.domain.policy import PolicyTerms
from rebalancer.queries.work import DAILY_TRIGGERS
from robo.common.templatetags import figures

TAX_STATUS_WORDS: Mapping[str, str] = {
    "TAXABLE": "Taxable",
    "TAX_DEFERRED": "Tax-deferred",
    "TAX_FREE": "Tax-free",
}

CAUSE_LABELS: Mapping[str, str] = {
    Cause.CALENDAR: "Scheduled rebalance",
    Cause.THRESHOLD: "Left its band",
    Cause.COMBINED: "Out of band on a look date",
    Cause.CASH_FLOW: "Money came or went",
    Cause.MODEL_CHANGE: "The model changed",
    Cause.RISK: "Too far from its model's risk",
    Cause.ECONOMIC: "Worth its cost",
    Cause.REQUESTED: "A person asked",
}

LOOK_LABELS: Mapping[str, str] = {
    **CAUSE_LABELS,
    Cause.CALENDAR: "Scheduled look",
    Cause.THRESHOLD: "Daily look",
    Cause.COMBINED: "Scheduled look",
    Cause.RISK: "Daily look",
    Cause.ECONOMIC: "Daily look",
}

CAUSE_SENTENCES: Mapping[str, str] = {
    Cause.CALENDAR: "The schedule of the policy said that it was time to rebalance.",
    Cause.THRESHOLD: "The account has left the band around its target.",
    Cause.COMBINED: "It was a look date of the policy, and the account stood outside its band.",
    Cause.CASH_FLOW: "Money was paid in or taken out, which moved the account off its target.",
    Cause.MODEL_CHANGE: "A new version of the model portfolio set new targets.",
    Cause.RISK: "The account may move further away from its model than the policy allows.",
    Cause.ECONOMIC: "What rebalancing gains is worth more than its cost and tax.",
    Cause.REQUESTED: "An advisor asked for a look at the account.",
}

CLIENT_STATUS_WORDS: Mapping[str, str] = {
    ProposalStatus.PENDING: "being reviewed by your advisor",
    ProposalStatus.APPROVED: "approved by your advisor, about to be carried out",
    ProposalStatus.EXECUTING: "being carried out now",
    ProposalStatus.COMPLETED: "done",
    ProposalStatus.COMPLETED_ADJUSTED: "done, with some orders not carried out",
}
WAITS_FOR_CLIENT = "waiting for your answer"

STAFF_STATUS_WORDS: Mapping[str, str] = {
    **CLIENT_STATUS_WORDS,
    ProposalStatus.PENDING: "awaiting approval",
    ProposalStatus.APPROVED: "approved",
}

MODE_LABELS: Mapping[str, str] = {
    Mode.FULL: "Full rebalance",
    Mode.BAND_EDGE: "To the edge of the band",
    Mode.BUY_ONLY: "Buy only",
    Mode.HARVEST_ONLY: "Harvest losses only",
    Mode.SELL_ONLY: "Sell only",
    Mode.DRIFTED_ONLY: "Only what drifted",
    Mode.RAISE_CASH: "Raise cash only",
    Mode.SPEND_CASH: "Invest the cash",
}

MODE_SENTENCES: Mapping[str, str] = {
    Mode.FULL: "buys and sells, as near to target as pays",
    Mode.BAND_EDGE: "buys and sells only as far as the band",
    Mode.BUY_ONLY: "sells nothing",
    Mode.HARVEST_ONLY: "sells losses and buys what may stand in",
    Mode.SELL_ONLY: "buys nothing",
    Mode.DRIFTED_ONLY: "trades only what is outside its band",
    Mode.RAISE_CASH: "sells what cash is short, nothing else",
    Mode.SPEND_CASH: "buys for the cash that came in",
}

_PATH_SENTENCES: Mapping[str, str] = {
    Path.ACCOUNT: "Each account was worked out by itself",
    Path.NETTED: "The accounts of one tax return were worked out together",
    Path.WASH: "Selling a loss and buying it again were weighed against each other",
    Path.COVARIANCE: "Distance from target was priced by the risk that it brings",
    Path.HOUSEHOLD: "All accounts of the household were worked out as one",
}

TERM_LABELS: Mapping[str, str] = {
    "drift": "Being off target",
    "cash_drag": "Cash off target",
    "tax": "Tax",
    "spread": "Half spreads",
    "commission": "Commission",
    "tickets": "Number of trades",
    "impact": "Moving the market",
    "location": "Held in the wrong account",
}


# A policy that would pay a whole unit of cost per unit traded does not look at cost.
STRICT_WILLINGNESS = 1

_SCHEDULE_WORDS: Mapping[Schedule, str] = {
    Schedule.DAILY: "on every trading day",
    Schedule.MONTHLY: "on the first trading day of every month",
    Schedule.QUARTERLY: "on the first trading day of every quarter",
    Schedule.ANNUAL: "on the first trading day of every year",
}


def explain_cause(cause: str) -> str:
    """Return why an account was looked at, as a sentence."""
    return CAUSE_SENTENCES.get(cause, cause)


def explain_path(*, path: str, reason: str) -> str:
    """Return the road that a plan took through the engine, as a sentence."""
    sentence = _PATH_SENTENCES.get(path, "")
    return f"{sentence}: {reason}." if sentence and reason else sentence and f"{sentence}."


def explain_wanted(wanted: Mapping[str, str], *, currency: str) -> str:
    """Return what a person asked for beyond the policy, as the end of a sentence."""
    parts = []
    if "mode" in wanted:
        parts.append(MODE_LABELS.get(wanted["mode"], wanted["mode"]).lower())
    if "gains_budget" in wanted:
        budget = figures.money(wanted["gains_budget"], currency)
        parts.append(f"a gains budget of {budget} this year")
    return ", ".join(parts)


def explain_hurdle(*, gain: str, hurdle: str) -> str:
    """Return why a plan is not worth its trouble, as the end of a sentence."""
    return f"the best plan gains {gain}, not more than the hurdle of {hurdle}"


def explain_look(
    *, reason: str, certificate: Mapping[str, Any], tracking_error: Decimal | None, currency: str
) -> str:
    """Return what a look found, with the numbers that led to no trade."""
    parts = [reason] if reason else []
    if certificate:
        gain, hurdle = Decimal(certificate["gain"]), Decimal(certificate["hurdle"])
        if 0 < gain <= hurdle:
            parts = [
                explain_hurdle(
                    gain=figures.money(gain, currency), hurdle=figures.money(hurdle, currency)
                )
            ]
        elif gain <= 0:
            standing = figures.money(certificate["nothing"]["total"], currency)
            parts.append(f"standing as it is costs {standing}")
    if tracking_error is not None and "tracking error" not in reason:
        parts.append(f"tracking error {figures.percent(tracking_error, 2)} a year")
    return "; ".join(parts)


def get_look_schedule(terms: PolicyTerms) -> Schedule:
    """Return when a policy really looks: one that waits for something looks every day."""
    return Schedule.DAILY if terms.trigger in DAILY_TRIGGERS else terms.schedule


def explain_schedule(*, schedule: Schedule, cron_line: str) -> str:
    """Return when a policy looks, as the end of a sentence."""
    if schedule is Schedule.CRON:
        return f"on the days that “{cron_line}” names"
    return _SCHEDULE_WORDS[schedule]


def explain_band(terms: PolicyTerms) -> str:
    """Return how wide a policy's bands are, as the end of a sentence."""
    points = f"{figures.quantity(terms.absolute_band * 100, 2)} points"
    share = f"{figures.quantity(terms.relative_band * 100, 2)}%"
    floor = f"{figures.quantity(terms.band_floor * 100, 2)} points"
    match terms.band_measure:
        case BandMeasure.ABSOLUTE:
            return f"{points} from its target"
        case BandMeasure.RELATIVE:
            return f"{share} of its target (but at least {floor})"
        case BandMeasure.WIDER:
            return f"the larger of {points} and {share} of its target"
        case BandMeasure.NARROWER:
            return f"the smaller of {points} and {share} of its target (but at least {floor})"


def explain_policy(terms: PolicyTerms) -> str:
    """Return a policy's whole rule in plain sentences."""
    act, goal = _explain_trigger(terms), _explain_destination(terms)
    limits = f"No trade below {figures.money(terms.min_trade_amount)}"
    if terms.cash_floor_amount > 0:
        limits += f", and {figures.money(terms.cash_floor_amount)} always stays in cash"
    approval = (
        f"A proposal waits {terms.approval_hours_max} hours for approval and lapses when a price "
        f"moves by more than {figures.percent(terms.price_tolerance)}."
    )
    return " ".join(
        [act, goal, _explain_willingness(terms), f"{limits}.", *_explain_extras(terms), approval]
    )


def _explain_trigger(terms: PolicyTerms) -> str:
    when = explain_schedule(schedule=get_look_schedule(terms), cron_line=terms.cron_line)
    what = "an asset class" if terms.band_level is BandLevel.ASSET_CLASS else "a security"
    match terms.trigger:
        case Trigger.CALENDAR:
            return f"Rebalances {when}, however small the drift."
        case Trigger.RISK:
            return (
                f"Looks {when} and acts when the account may stray from its model by more than "
                f"{figures.percent(terms.tracking_error_max)} a year."
            )
        case Trigger.ECONOMIC:
            hurdle = figures.quantity(terms.hurdle_bps, 3)
            more = f" by more than {hurdle} bp of its value" if terms.hurdle_bps > 0 else ""
            return f"Looks {when} and acts when that gains more than it costs and is taxed{more}."
        case _:
            return f"Looks {when} and acts when {what} is further than {explain_band(terms)}."


def _explain_destination(terms: PolicyTerms) -> str:
    match terms.destination:
        case Destination.TARGET:
            return "Trades go all the way back to target."
        case Destination.BETWEEN:
            share = figures.percent(terms.destination_share, 0)
            return f"Trades go {share} of the way from the edge of the band to the target."
        case Destination.BAND_EDGE:
            return "Trades stop at the edge of the band, which trades less."


def _explain_willingness(terms: PolicyTerms) -> str:
    if terms.drift_measure is DriftMeasure.RISK:
        return "Distance counts by the risk that it brings, so that what moves alike counts less."
    if terms.willingness >= STRICT_WILLINGNESS:
        return "Drift is corrected whatever the tax."
    return (
        f"At five points off target, correcting may cost up to "
        f"{figures.percent(terms.willingness, 2)} of what is traded, tax included."
    )


def _explain_extras(terms: PolicyTerms) -> list[str]:
    """Return what a policy does beyond its bands; nothing is said of what is off."""
    extras = []
    if terms.harvests_losses:
        least = figures.money(terms.harvest_benefit_min)
        extras.append(f"Losses are harvested where that saves at least {least} of tax.")
    if terms.hold_for_long_term_days:
        extras.append(
            f"Gains within {terms.hold_for_long_term_days} days of being long-term are kept."
        )
    if terms.transition_years:
        first = terms.transition_start_year
        last = first + terms.transition_years - 1
        extras.append(f"Gains of the old portfolio are spread over {first} to {last}.")
    if terms.turnover_max is not None:
        extras.append(f"A plan trades at most {figures.percent(terms.turnover_max)} of the value.")
    if terms.caps:
        caps = ", ".join(f"{cap.name} {figures.percent(cap.max_weight)}" for cap in terms.caps)
        extras.append(f"Never more than: {caps}.")
    return extras


class State(NamedTuple):
    """Where something stands against its target: a headline, what is behind it, and its colour."""

    text: str
    detail: str
    tone: str


def describe_state(*, blocked: str, is_breached: bool, worst_label: str, distance: float) -> State:
    """Return the state of an account or household; `distance` is weight less target, a fraction."""
    furthest = f"{worst_label} {figures.points(distance)}" if worst_label else ""
    if blocked:
        return State("Not measured", "see above", "tone-drift")
    if is_breached:
        return State("Out of band", furthest, "tone-breach")
    return State("On target", f"furthest: {furthest}" if furthest else "", "")
