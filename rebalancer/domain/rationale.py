"""Why trades are proposed, in a few sentences for the client who has to say yes or no."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from rebalancer.domain.kinds import Cause

CAUSES = {
    Cause.CALENDAR: "It is the day on which your account is looked at.",
    Cause.THRESHOLD: "A part of your account has moved too far from its target.",
    Cause.COMBINED: "On its regular day, a part of your account was too far from its target.",
    Cause.CASH_FLOW: "Money came into your account or is needed from it.",
    Cause.MODEL_CHANGE: "The portfolio that your account follows has changed.",
    Cause.RISK: "The risk of your account has moved too far from what it should be.",
    Cause.ECONOMIC: "What the trades bring is worth more than what they cost.",
    Cause.REQUESTED: "Somebody asked for a look at your account.",
}


@dataclass(frozen=True, slots=True)
class ProposalFacts:
    """What the sentences are made of; distances as fractions, and how amounts are shown."""

    cause: Cause
    drift_before: Decimal
    drift_after: Decimal
    tax_amount: Decimal
    cost_amount: Decimal
    required_cash: Decimal
    cash_before: Decimal
    is_taxable: bool
    show_money: Callable[[Decimal], str]


def explain_proposal(facts: ProposalFacts) -> Sequence[str]:
    """Return the sentences, in this order: why, how far off, tax, cost, and what if not."""
    return (
        CAUSES[facts.cause],
        f"It is {facts.drift_before:.1%} away from its target; after the trades it would be "
        f"{facts.drift_after:.1%}.",
        _explain_tax(facts),
        f"Trading is expected to cost {facts.show_money(facts.cost_amount)}.",
        _explain_nothing(facts),
    )


def _explain_tax(facts: ProposalFacts) -> str:
    if not facts.is_taxable:
        return "Selling causes no tax in this account."
    if facts.tax_amount > 0:
        return f"The tax on what is sold is estimated at {facts.show_money(facts.tax_amount)}."
    if facts.tax_amount < 0:
        return f"What is sold is estimated to save {facts.show_money(-facts.tax_amount)} of tax."
    return "No tax is expected."


def _explain_nothing(facts: ProposalFacts) -> str:
    words = (
        f"If nothing is done, your account stays {facts.drift_before:.1%} away from its target, "
        "and costs neither tax nor trading now."
    )
    short = facts.required_cash - facts.cash_before
    if short > 0:
        words += f" {facts.show_money(short)} of the cash that is needed would be missing."
    return words
