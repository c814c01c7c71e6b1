"""The life of a model version as a table, and the rules its weights must obey."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

from portfolios.domain.kinds import ModelStatus
from portfolios.domain.money import ZERO

ONE = Decimal(1)
WEIGHT_STEP = Decimal("0.00000001")


class ModelEvent(StrEnum):
    """What can happen to a model version."""

    SAVE = "SAVE"
    SUBMIT = "SUBMIT"
    RETURN = "RETURN"
    PUBLISH = "PUBLISH"
    RETIRE = "RETIRE"


S, E = ModelStatus, ModelEvent

MODEL_TRANSITIONS: Mapping[tuple[ModelStatus, ModelEvent], ModelStatus] = {
    (S.DRAFT, E.SAVE): S.DRAFT,
    (S.DRAFT, E.SUBMIT): S.IN_REVIEW,
    (S.IN_REVIEW, E.RETURN): S.DRAFT,
    (S.IN_REVIEW, E.PUBLISH): S.PUBLISHED,
    # The next edition takes over; what was in force stays readable for ever.
    (S.PUBLISHED, E.RETIRE): S.RETIRED,
}

IN_WORK = frozenset({S.DRAFT, S.IN_REVIEW})

_SAID: Mapping[ModelEvent, str] = {
    E.SAVE: "edited",
    E.SUBMIT: "submitted for review",
    E.RETURN: "returned to its author",
    E.PUBLISH: "published",
    E.RETIRE: "retired",
}


class TransitionRefused(Exception):
    """The event cannot happen in this state; the text says so for people."""


class WeightsRefused(Exception):
    """Target weights break a rule; the text names each culprit."""


def advance(status: str, event: ModelEvent) -> ModelStatus:
    """Return the status that follows `event`.

    :raises TransitionRefused: when the table does not list the pair.
    """
    try:
        return MODEL_TRANSITIONS[ModelStatus(status), event]
    except KeyError:
        shown = status.lower().replace("_", " ")
        raise TransitionRefused(
            f"This version is {shown}; it cannot be {_SAID[event]} now."
        ) from None


def check_weights(*, weights: Mapping[str, Decimal], cash_weight: Decimal) -> None:
    """Check target weights by symbol, as fractions: each in (0, 1], with cash exactly one in all.

    :raises WeightsRefused: naming every symbol at fault, or what is missing or too much.
    """
    faults = [_fault(symbol, weight) for symbol, weight in weights.items()]
    if cash_weight != ZERO:
        faults.append(_fault("cash", cash_weight))
    if not weights:
        faults.append("The model holds no security.")
    found = [fault for fault in faults if fault]
    if found:
        raise WeightsRefused(" ".join(found))
    total = sum(weights.values(), cash_weight)
    if total != ONE:
        gap = ONE - total
        word = "missing" if gap > 0 else "too much"
        raise WeightsRefused(
            f"The weights add up to {_percent(total)}; {_percent(abs(gap))} is {word}."
        )


def _fault(name: str, weight: Decimal) -> str:
    if not weight.is_finite():
        return f"The weight of {name} is not a number."
    if not ZERO < weight <= ONE:
        return f"The weight of {name}, {_percent(weight)}, is not above 0% and at most 100%."
    if weight != weight.quantize(WEIGHT_STEP):
        return f"The weight of {name}, {_percent(weight)}, has more than six decimals."
    return ""


def _percent(weight: Decimal) -> str:
    text = f"{weight * 100:f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}%"
