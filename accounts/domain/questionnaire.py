"""The risk questionnaire: its questions in words, and reading a set of answers.

Own wording. The choices of a question stand in order, from the most careful (or the weakest
finances) to the most daring (or the strongest): the place of a choice is its number of steps. A
changed question is a new `VERSION`; old answers keep the version they were given under.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from robo.common.errors import Refused

VERSION = "2026-11"
UNSURE = "unsure"  # "I don't know": an honest answer, and one that no score can be made of
HORIZON_YEARS_MIN, HORIZON_YEARS_MAX = 1, 40
MONEY_MAX = Decimal("999999999999.99")
CENT = Decimal("0.01")


class AnswersRefused(Refused):
    """Answers are missing or unreadable; `problems` says which, by question."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(
            " ".join(f"“{_name(code)}”: {problem}" for code, problem in problems.items())
        )
        self.problems = dict(problems)


class TalkToAdvisor(Refused):
    """Somebody does not know an answer: a person must help, not a formula."""

    def __init__(self, codes: tuple[str, ...]) -> None:
        questions = "; ".join(f"“{QUESTIONS[code].text}”" for code in codes)
        super().__init__(
            "Not knowing is a good reason to talk. Please go through this with your advisor, "
            f"who can answer with you: {questions}"
        )
        self.codes = codes


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer to pick."""

    code: str
    label: str


@dataclass(frozen=True, slots=True)
class Question:
    """One question; without choices it asks for a number (years, or money)."""

    code: str
    text: str
    help_text: str
    choices: tuple[Choice, ...] = ()

    def get_label(self, code: str) -> str:
        """Return the words of a choice, or what was typed."""
        return next((choice.label for choice in self.choices if choice.code == code), code)


@dataclass(frozen=True, slots=True)
class Section:
    """Questions that belong together on the page."""

    title: str
    introduction: str
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Answers:
    """A complete, readable set of answers; money in the household's currency."""

    choices: Mapping[str, str]
    horizon_years: int
    investable_wealth: Decimal
    liquidity_need: Decimal

    def measure_steps(self, code: str) -> int:
        """Return how far up its scale an answer stands, from 0."""
        return [choice.code for choice in QUESTIONS[code].choices].index(self.choices[code])

    def as_text(self) -> dict[str, str]:
        """Return the answers as they are kept on record."""
        return {
            **self.choices,
            "horizon_years": str(self.horizon_years),
            "investable_wealth": f"{self.investable_wealth:.2f}",
            "liquidity_need": f"{self.liquidity_need:.2f}",
        }


def _question(code: str, text: str, help_text: str, *choices: tuple[str, str]) -> Question:
    return Question(code, text, help_text, tuple(Choice(*choice) for choice in choices))


WILLINGNESS = Section(
    "How you feel about risk",
    "There are no right answers. Think of money that matters to you.",
    (
        _question(
            "priority",
            "What matters most to you about this money?",
            "Every step up brings larger swings along the way.",
            ("preserve", "That it keeps its value"),
            ("income", "A little growth, with few surprises"),
            ("balanced", "Growth and calm in equal parts"),
            ("growth", "Growth, with setbacks now and then"),
            ("maximum", "As much growth as possible, whatever the swings"),
        ),
        _question(
            "loss_limit",
            "What is the largest loss over one year that you could live with?",
            "Example: on $100,000, a loss of 20% leaves $80,000.",
            ("loss_5", "Up to 5%"),
            ("loss_10", "Up to 10%"),
            ("loss_20", "Up to 20%"),
            ("loss_30", "Up to 30%"),
            ("loss_40", "40% or more"),
        ),
        _question(
            "fall_reaction",
            "Your investments have fallen by 30% in three months. What do you do?",
            "If you have lived through such a fall, say what you really did.",
            ("sell_all", "Sell everything"),
            ("sell_some", "Sell a part"),
            ("wait", "Wait, and look less often"),
            ("hold", "Leave it alone, and stay calm"),
            ("buy_more", "Buy more"),
        ),
        _question(
            "outcome_range",
            "Which one-year range of outcomes would you choose for $100,000?",
            "Worst and best of twenty years; the middle is higher with each step.",
            ("range_1", "Between $98,000 and $106,000"),
            ("range_2", "Between $93,000 and $112,000"),
            ("range_3", "Between $86,000 and $120,000"),
            ("range_4", "Between $77,000 and $131,000"),
            ("range_5", "Between $65,000 and $145,000"),
        ),
        _question(
            "sure_or_chance",
            "You have won a prize. Which form do you take?",
            "The further down, the larger the prize and the smaller the chance.",
            ("sure", "$1,000 for certain"),
            ("likely", "$1,500 with a chance of 3 in 4"),
            ("even", "$2,500 with a chance of 1 in 2"),
            ("unlikely", "$6,000 with a chance of 1 in 4"),
            ("long_shot", "$30,000 with a chance of 1 in 20"),
        ),
        _question(
            "experience",
            "What have you invested in before?",
            "Count what you decided yourself and held for at least a year.",
            ("none", "Nothing so far"),
            ("savings", "Savings accounts or government bonds"),
            ("funds", "Funds, for a few years"),
            ("through_fall", "Funds or shares, through at least one bad market"),
            ("long_practice", "Shares or funds for more than ten years"),
        ),
        _question(
            "uncertainty",
            "How do you feel when you cannot know how a money decision will turn out?",
            "Think of the last large one.",
            ("lose_sleep", "I lose sleep over it"),
            ("uneasy", "Uneasy"),
            ("neutral", "Neither good nor bad"),
            ("at_ease", "Mostly at ease"),
            ("keen", "I enjoy it"),
        ),
    ),
)
CAPACITY = Section(
    "What your finances can bear",
    "Rough figures are enough. They limit the risk, whatever your feelings say.",
    (
        _question(
            "emergency_months",
            "For how many months could you pay your bills without this money or new income?",
            "Savings you can reach at once, divided by what you spend in a month.",
            ("under_1", "Less than one"),
            ("months_1_3", "One to three"),
            ("months_3_6", "Three to six"),
            ("months_6_12", "Six to twelve"),
            ("over_12", "More than a year"),
        ),
        _question(
            "income_stability",
            "How safe is your income in the coming years?",
            "Wages, pensions, rent. Choose the first line if you live from this money.",
            ("drawing", "I live from this money"),
            ("uncertain", "It may well fall or stop"),
            ("variable", "It goes up and down"),
            ("steady", "Steady"),
            ("secure", "Secure, such as a pension or tenure"),
        ),
        _question(
            "debt_service",
            "How much of your income goes to interest and repayments?",
            "Mortgage, car, cards and student loans together.",
            ("over_50", "More than half"),
            ("share_35_50", "35% to 50%"),
            ("share_20_35", "20% to 35%"),
            ("share_10_20", "10% to 20%"),
            ("under_10", "Less than 10%, or none"),
        ),
        _question(
            "goal_flexibility",
            "If things go badly, can the goal wait or be smaller?",
            "Example: a house by a fixed date cannot wait; a second one perhaps can.",
            ("fixed", "No: date and amount are fixed"),
            ("little", "It could wait a year, or be a little smaller"),
            ("some", "It could wait some years, or be clearly smaller"),
            ("open", "It is open in both"),
        ),
    ),
)
FIGURES = Section(
    "Time and money",
    "When you need the money, and how much of it soon.",
    (
        _question(
            "horizon_years",
            "In how many years will you need most of this money?",
            f"A whole number from {HORIZON_YEARS_MIN} to {HORIZON_YEARS_MAX}.",
        ),
        _question(
            "investable_wealth",
            "How much do you have in savings and investments altogether?",
            "Without your home. What you keep with us is part of it.",
        ),
        _question(
            "liquidity_need",
            "How much of that will you want back within two years?",
            "A car, a wedding, taxes, fees. Put 0 if nothing is planned.",
        ),
    ),
)
SECTIONS = (WILLINGNESS, CAPACITY, FIGURES)
QUESTIONS: Mapping[str, Question] = {
    question.code: question for section in SECTIONS for question in section.questions
}


def read_answers(given: Mapping[str, str]) -> Answers:
    """Read answers as typed or picked.

    :raises AnswersRefused: naming every question that is unanswered, unknown or unreadable.
    :raises TalkToAdvisor: when all is readable, but something is answered with "I don't know".
    """
    problems = dict(_list_problems(given))
    if problems:
        raise AnswersRefused(problems)
    unsure = tuple(code for code in QUESTIONS if given[code] == UNSURE)
    if unsure:
        raise TalkToAdvisor(unsure)
    return Answers(
        choices={code: given[code] for code, question in QUESTIONS.items() if question.choices},
        horizon_years=_read_years(given["horizon_years"]),
        investable_wealth=_read_money(given["investable_wealth"]),
        liquidity_need=_read_money(given["liquidity_need"]),
    )


def _name(code: str) -> str:
    return QUESTIONS[code].text if code in QUESTIONS else code[:40]


def _list_problems(given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for code in given:
        if code not in QUESTIONS:
            yield code, "This is not a question of the questionnaire."
    for code, question in QUESTIONS.items():
        answer = given.get(code, "")
        if not isinstance(answer, str) or not answer.strip():
            yield code, "Please answer this question."
        elif answer != UNSURE:
            problem = _find_problem(question, answer)
            if problem:
                yield code, problem


def _find_problem(question: Question, answer: str) -> str:
    if question.choices:
        known = {choice.code for choice in question.choices}
        return "" if answer in known else f"{answer[:40]!r} is not one of the answers."
    try:
        if question.code == "horizon_years":
            _read_years(answer)
        elif question.code == "investable_wealth" and not _read_money(answer):
            return "The amount must be above zero."
        else:
            _read_money(answer)
    except ValueError as error:
        return str(error)
    return ""


def _read_years(answer: str) -> int:
    text = answer.strip()
    if not text.isascii() or not text.isdigit() or len(text) > 3:
        raise ValueError("Give a whole number of years.")
    years = int(text)
    if not HORIZON_YEARS_MIN <= years <= HORIZON_YEARS_MAX:
        raise ValueError(f"Give {HORIZON_YEARS_MIN} to {HORIZON_YEARS_MAX} years.")
    return years


def _read_money(answer: str) -> Decimal:
    try:
        amount = Decimal(answer.strip())
    except InvalidOperation:
        raise ValueError("Give an amount of money in figures.") from None
    if not amount.is_finite() or not 0 <= amount <= MONEY_MAX:
        raise ValueError("Give an amount of money from zero up.")
    if amount != amount.quantize(CENT):
        raise ValueError("Give at most two decimals.")
    return amount.quantize(CENT)
