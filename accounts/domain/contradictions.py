"""Answers that do not fit together: a table of rules, each with the words to reconsider them by.

A contradiction changes no score. It is shown to the client to think again, and to the advisor.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from accounts.domain.questionnaire import QUESTIONS, WILLINGNESS, Answers
from accounts.domain.risk import RiskScore, measure_liquidity_share

BOLD_LEVEL = 7
SHORT_HORIZON_YEARS = 3
HURRY_SECONDS = 30
JUMP_LEVELS, JUMP_DAYS = 2, 90
LARGE_SHARE = Decimal("0.50")


@dataclass(frozen=True, slots=True)
class Previous:
    """The household's profile before this one."""

    willingness: int
    answered_date: date


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that a rule may look at."""

    answers: Answers
    score: RiskScore
    answered_date: date
    seconds_taken: int | None = None
    previous: Previous | None = None

    def is_any(self, code: str, *choices: str) -> bool:
        """Return whether the answer to a question is one of these."""
        return self.answers.choices[code] in choices

    @property
    def is_bold(self) -> bool:
        """Return whether the answers about feelings ask for much risk."""
        return self.score.willingness >= BOLD_LEVEL


@dataclass(frozen=True, slots=True)
class Contradiction:
    """One pair of answers to reconsider."""

    code: str
    text: str


Rule = tuple[str, str, Callable[[Case], bool]]


def _is_all_the_same(case: Case) -> bool:
    steps = {case.answers.measure_steps(question.code) for question in WILLINGNESS.questions}
    return len(steps) == 1


def _is_jump(case: Case) -> bool:
    if case.previous is None:
        return False
    days = (case.answered_date - case.previous.answered_date).days
    change = case.score.willingness - case.previous.willingness
    return 0 <= days <= JUMP_DAYS and abs(change) >= JUMP_LEVELS


RULES: tuple[Rule, ...] = (
    (
        "short_horizon_bold",
        "You need the money in less than three years, yet your answers ask for much risk.",
        lambda case: case.answers.horizon_years < SHORT_HORIZON_YEARS and case.is_bold,
    ),
    (
        "short_horizon_growth",
        "You need the money in less than three years, yet growth is your first wish for it.",
        lambda case: (
            case.answers.horizon_years < SHORT_HORIZON_YEARS
            and case.is_any("priority", "growth", "maximum")
        ),
    ),
    (
        "small_loss_buys_fall",
        "You could not live with losing more than 10%, yet you would buy more after a fall of 30%.",
        lambda case: (
            case.is_any("loss_limit", "loss_5", "loss_10")
            and case.is_any("fall_reaction", "buy_more")
        ),
    ),
    (
        "large_loss_sells_fall",
        "You could live with losing 30% or more, yet you would sell after such a fall.",
        lambda case: (
            case.is_any("loss_limit", "loss_30", "loss_40")
            and case.is_any("fall_reaction", "sell_all", "sell_some")
        ),
    ),
    (
        "small_loss_wide_range",
        "You could not live with losing more than 10%, yet the range that you chose holds larger "
        "losses.",
        lambda case: (
            case.is_any("loss_limit", "loss_5", "loss_10")
            and case.is_any("outcome_range", "range_4", "range_5")
        ),
    ),
    (
        "preserve_wide_range",
        "You want the money above all to keep its value, yet you chose a wide range of outcomes.",
        lambda case: (
            case.is_any("priority", "preserve")
            and case.is_any("outcome_range", "range_4", "range_5")
        ),
    ),
    (
        "maximum_narrow_range",
        "You want as much growth as possible, yet you chose the narrowest range of outcomes.",
        lambda case: case.is_any("priority", "maximum") and case.is_any("outcome_range", "range_1"),
    ),
    (
        "maximum_small_loss",
        "You want as much growth as possible, yet you could not live with a loss above 10%.",
        lambda case: (
            case.is_any("priority", "maximum") and case.is_any("loss_limit", "loss_5", "loss_10")
        ),
    ),
    (
        "sleepless_gambler",
        "Uncertainty costs you sleep, yet you would take the long shot.",
        lambda case: (
            case.is_any("uncertainty", "lose_sleep")
            and case.is_any("sure_or_chance", "unlikely", "long_shot")
        ),
    ),
    (
        "beginner_maximum",
        "You have never invested, yet you want as much growth as possible.",
        lambda case: case.is_any("experience", "none") and case.is_any("priority", "maximum"),
    ),
    (
        "need_most_long_horizon",
        "You need most of the money only later, yet you want more than half of it back within "
        "two years.",
        lambda case: (
            case.answers.horizon_years >= SHORT_HORIZON_YEARS
            and measure_liquidity_share(case.answers) > LARGE_SHARE
        ),
    ),
    (
        "need_above_wealth",
        "You want more money back within two years than you say you have.",
        lambda case: case.answers.liquidity_need > case.answers.investable_wealth,
    ),
    (
        "no_reserve_bold",
        "Your savings last less than three months, yet your answers ask for much risk.",
        lambda case: case.is_any("emergency_months", "under_1", "months_1_3") and case.is_bold,
    ),
    (
        "drawing_growth",
        "You live from this money, yet growth is your first wish for it.",
        lambda case: (
            case.is_any("income_stability", "drawing")
            and case.is_any("priority", "growth", "maximum")
        ),
    ),
    (
        "debts_bold",
        "Debts take more than a third of your income, yet your answers ask for much risk.",
        lambda case: case.is_any("debt_service", "over_50", "share_35_50") and case.is_bold,
    ),
    (
        "fixed_goal_bold",
        "Your goal can neither wait nor be smaller, yet your answers ask for much risk.",
        lambda case: case.is_any("goal_flexibility", "fixed") and case.is_bold,
    ),
    (
        "all_the_same",
        "All your answers about feelings stand at the same place. Please read each once more.",
        _is_all_the_same,
    ),
    (
        "in_a_hurry",
        f"All {len(QUESTIONS)} answers took less than {HURRY_SECONDS} seconds.",
        lambda case: case.seconds_taken is not None and case.seconds_taken < HURRY_SECONDS,
    ),
    (
        "sudden_change",
        f"Your feelings about risk have changed a lot within {JUMP_DAYS} days. A recent gain or "
        "loss in the markets passes; a change in your life is worth talking about.",
        _is_jump,
    ),
)


def find_contradictions(case: Case) -> tuple[Contradiction, ...]:
    """Return every contradiction in the answers, in the order of the rules."""
    return tuple(Contradiction(code, text) for code, text, applies in RULES if applies(case))
