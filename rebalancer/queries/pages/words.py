"""Codes as sentences: why an account was looked at, what a policy does, what a status means.

Whoever reads a page needs no glossary; whoever adds a code adds its words here.
"""

from collections.abc import Mapping
from typing import NamedTuple

from rebalancer.domain.kinds import (
    BandLevel,
    BandMeasure,
    Cause,
    Destination,
    Schedule,
    Trigger,
)
from rebalancer.domain.lifecycle import ProposalStatus
from rebalancer.domain.policy import PolicyTerms
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
    Cause.REQUESTED: "A person asked",
}

LOOK_LABELS: Mapping[str, str] = {
    **CAUSE_LABELS,
    Cause.CALENDAR: "Scheduled look",
    Cause.THRESHOLD: "Daily look",
    Cause.COMBINED: "Scheduled look",
}

CAUSE_SENTENCES: Mapping[str, str] = {
    Cause.CALENDAR: "The schedule of the policy said that it was time to rebalance.",
    Cause.THRESHOLD: "The account has left the band around its target.",
    Cause.COMBINED: "It was a look date of the policy, and the account stood outside its band.",
    Cause.CASH_FLOW: "Money was paid in or taken out, which moved the account off its target.",
    Cause.MODEL_CHANGE: "A new version of the model portfolio set new targets.",
    Cause.REQUESTED: "An advisor asked for a look at the account.",
}

CLIENT_STATUS_WORDS: Mapping[str, str] = {
    ProposalStatus.PENDING: "being reviewed by your advisor",
    ProposalStatus.APPROVED: "approved by your advisor, about to be carried out",
    ProposalStatus.EXECUTING: "being carried out now",
    ProposalStatus.COMPLETED: "done",
    ProposalStatus.COMPLETED_ADJUSTED: "done, with some orders not carried out",
}

STAFF_STATUS_WORDS: Mapping[str, str] = {
    **CLIENT_STATUS_WORDS,
    ProposalStatus.PENDING: "awaiting approval",
    ProposalStatus.APPROVED: "approved",
}

_SCHEDULE_WORDS: Mapping[Schedule, str] = {
    Schedule.DAILY: "on every trading day",
    Schedule.MONTHLY: "on the first trading day of every month",
    Schedule.QUARTERLY: "on the first trading day of every quarter",
    Schedule.ANNUAL: "on the first trading day of every year",
}


def explain_cause(cause: str) -> str:
    """Return why an account was looked at, as a sentence."""
    return CAUSE_SENTENCES.get(cause, cause)


def get_look_schedule(terms: PolicyTerms) -> Schedule:
    """Return when a policy really looks: one that waits for a breach looks every day."""
    return Schedule.DAILY if terms.trigger is Trigger.THRESHOLD else terms.schedule


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
    when = explain_schedule(schedule=get_look_schedule(terms), cron_line=terms.cron_line)
    what = "an asset class" if terms.band_level is BandLevel.ASSET_CLASS else "a security"
    if terms.trigger is Trigger.CALENDAR:
        act = f"Rebalances {when}, however small the drift."
    else:
        act = f"Looks {when} and acts when {what} is further than {explain_band(terms)}."
    goal = (
        "Trades go all the way back to target."
        if terms.destination is Destination.TARGET
        else "Trades stop at the edge of the band, which trades less."
    )
    limits = f"No trade below {figures.money(terms.min_trade_amount)}"
    if terms.cash_floor_amount > 0:
        limits += f", and {figures.money(terms.cash_floor_amount)} always stays in cash"
    approval = (
        f"A proposal waits {terms.approval_hours_max} hours for approval and lapses when a price "
        f"moves by more than {figures.percent(terms.price_tolerance)}."
    )
    return f"{act} {goal} {limits}. {approval}"


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
