"""From answers to a risk score: willingness and capacity apart, and the lower of the two counts.

Whole numbers throughout, so that the same answers give the same score everywhere. Riskier answers
never lower willingness, and worse finances never raise capacity; tests hold both.
"""

from dataclasses import dataclass
from decimal import Decimal

from accounts.domain.questionnaire import WILLINGNESS, Answers

LEVEL_MIN, LEVEL_MAX = 1, 10
STEPS_MAX = 4

# A person who cannot bear a loss should not be led into one by bold answers elsewhere.
LOSS_CAPS = {"loss_5": 3, "loss_10": 5, "loss_20": 7, "loss_30": 9, "loss_40": 10}
# (shorter than so many years, level at most)
HORIZON_CAPS = ((2, 1), (3, 2), (5, 4), (7, 6))
# (more than this share of the wealth wanted back within two years, level at most)
LIQUIDITY_CAPS = (
    (Decimal("0.80"), 1),
    (Decimal("0.50"), 2),
    (Decimal("0.30"), 4),
    (Decimal("0.15"), 6),
    (Decimal("0.05"), 8),
)
FULL_HORIZON_YEARS = 20
# Weights of the capacity mean, in percent.
CAPACITY_WEIGHTS = {
    "horizon": 25,
    "liquidity": 20,
    "emergency_months": 15,
    "income_stability": 15,
    "debt_service": 15,
    "goal_flexibility": 10,
}
WEAK_POINTS_MAX = 3
WEAK_WORDS = {
    "emergency_months": "Your savings would not last long without income.",
    "income_stability": "Your income is not sure.",
    "debt_service": "Debts take a large part of your income.",
    "goal_flexibility": "Your goal can neither wait nor be smaller.",
}


@dataclass(frozen=True, slots=True)
class RiskScore:
    """The levels from 1 (least risk) to 10, and why they are what they are."""

    willingness: int
    capacity: int
    reasons: tuple[str, ...]

    @property
    def score(self) -> int:
        """Return the lower of willingness and capacity."""
        return min(self.willingness, self.capacity)


def measure_risk(answers: Answers) -> RiskScore:
    """Return the risk score of complete answers, with its reasons in sentences."""
    willingness, willingness_reasons = _measure_willingness(answers)
    capacity, capacity_reasons = _measure_capacity(answers)
    if willingness < capacity:
        verdict = "Your feelings about risk set the limit; your finances could bear more."
    elif capacity < willingness:
        verdict = "Your finances set the limit, although you would be willing to take more risk."
    else:
        verdict = "Your feelings about risk and your finances agree."
    return RiskScore(willingness, capacity, (verdict, *willingness_reasons, *capacity_reasons))


def measure_liquidity_share(answers: Answers) -> Decimal:
    """Return the part of the wealth that is wanted back within two years, at most one."""
    return min(answers.liquidity_need / answers.investable_wealth, Decimal(1))


def _measure_willingness(answers: Answers) -> tuple[int, list[str]]:
    codes = [question.code for question in WILLINGNESS.questions]
    steps = sum(answers.measure_steps(code) for code in codes)
    level = _level(steps, STEPS_MAX * len(codes))
    reasons = [f"Your answers about feelings add up to a willingness of {level} out of 10."]
    cap = LOSS_CAPS[answers.choices["loss_limit"]]
    if level > cap:
        reasons.append(
            f"The largest loss that you could live with limits it to {cap}, "
            "however bold the other answers are."
        )
    return min(level, cap), reasons


def _measure_capacity(answers: Answers) -> tuple[int, list[str]]:
    points = _measure_points(answers)
    total = sum(CAPACITY_WEIGHTS[part] * value for part, value in points.items())
    level = _level(total, 100 * LEVEL_MAX)
    reasons = [f"Your finances as a whole allow a level of {level} out of 10."]
    reasons += [words for code, words in WEAK_WORDS.items() if points[code] <= WEAK_POINTS_MAX]
    horizon_cap = _horizon_cap(answers.horizon_years)
    if horizon_cap < level:
        reasons.append(
            f"You need the money in {_years(answers.horizon_years)}: too soon to sit out a bad "
            f"market, which limits the level to {horizon_cap}."
        )
    liquidity_cap = _liquidity_cap(measure_liquidity_share(answers))
    if liquidity_cap < level:
        share = f"{100 * measure_liquidity_share(answers):.0f}%"
        reasons.append(
            f"You want about {share} of your wealth back within two years, "
            f"which limits the level to {liquidity_cap}."
        )
    return min(level, horizon_cap, liquidity_cap), reasons


def _measure_points(answers: Answers) -> dict[str, int]:
    """Return how strong each part of the finances is, from 0 to 10."""
    share = measure_liquidity_share(answers)
    years = min(answers.horizon_years, FULL_HORIZON_YEARS)
    return {
        "horizon": LEVEL_MAX * years // FULL_HORIZON_YEARS,
        "liquidity": int(LEVEL_MAX * (1 - share)),
        "emergency_months": _scaled(answers, "emergency_months", 4),
        "income_stability": _scaled(answers, "income_stability", 4),
        "debt_service": _scaled(answers, "debt_service", 4),
        "goal_flexibility": _scaled(answers, "goal_flexibility", 3),
    }


def _scaled(answers: Answers, code: str, steps_max: int) -> int:
    return LEVEL_MAX * answers.measure_steps(code) // steps_max


def _level(points: int, points_max: int) -> int:
    return LEVEL_MIN + (LEVEL_MAX - LEVEL_MIN) * points // points_max


def _horizon_cap(years: int) -> int:
    return next((cap for limit, cap in HORIZON_CAPS if years < limit), LEVEL_MAX)


def _liquidity_cap(share: Decimal) -> int:
    return next((cap for limit, cap in LIQUIDITY_CAPS if share > limit), LEVEL_MAX)


def _years(years: int) -> str:
    return "one year" if years == 1 else f"{years} years"
