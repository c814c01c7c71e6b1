"""The risk score and the contradictions: properties over random answers, and each rule alone."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.domain.contradictions import RULES, Case, Previous, find_contradictions
from accounts.domain.questionnaire import (
    CAPACITY,
    QUESTIONS,
    UNSURE,
    WILLINGNESS,
    AnswersRefused,
    TalkToAdvisor,
    read_answers,
)
from accounts.domain.risk import measure_risk
from tests.answers import CALM_ANSWERS, make_answers

TODAY = date(2026, 3, 2)
CHOICE_CODES = [code for code, question in QUESTIONS.items() if question.choices]
MONEY = st.decimals(min_value="0.01", max_value="1e9", places=2)


@st.composite
def answer_sets(draw: st.DrawFn) -> dict[str, str]:
    picks = {
        code: draw(st.sampled_from([choice.code for choice in QUESTIONS[code].choices]))
        for code in CHOICE_CODES
    }
    return {
        **picks,
        "horizon_years": str(draw(st.integers(1, 40))),
        "investable_wealth": str(draw(MONEY)),
        "liquidity_need": str(draw(st.one_of(st.just(Decimal("0")), MONEY))),
    }


def one_step_up(answers: dict[str, str], code: str) -> dict[str, str]:
    codes = [choice.code for choice in QUESTIONS[code].choices]
    place = codes.index(answers[code])
    return {**answers, code: codes[min(place + 1, len(codes) - 1)]}


@given(answer_sets(), st.sampled_from([question.code for question in WILLINGNESS.questions]))
def test_a_riskier_answer_never_lowers_willingness_and_leaves_capacity_alone(answers, code):
    before = measure_risk(read_answers(answers))
    after = measure_risk(read_answers(one_step_up(answers, code)))
    assert after.willingness >= before.willingness
    assert after.capacity == before.capacity


@given(answer_sets(), st.sampled_from([question.code for question in CAPACITY.questions]))
def test_better_finances_never_lower_capacity_and_leave_willingness_alone(answers, code):
    before = measure_risk(read_answers(answers))
    after = measure_risk(read_answers(one_step_up(answers, code)))
    assert after.capacity >= before.capacity
    assert after.willingness == before.willingness


@given(answer_sets(), st.integers(0, 39), MONEY)
def test_less_time_less_wealth_or_more_need_never_raise_capacity(answers, fewer_years, money):
    before = measure_risk(read_answers(answers)).capacity
    years = str(max(int(answers["horizon_years"]) - fewer_years, 1))
    wealth = str(min(Decimal(answers["investable_wealth"]), money))
    need = str(Decimal(answers["liquidity_need"]) + money)
    for worse in (
        {"horizon_years": years},
        {"investable_wealth": wealth},
        {"liquidity_need": need},
    ):
        assert measure_risk(read_answers({**answers, **worse})).capacity <= before


@given(answer_sets())
def test_the_score_is_the_lower_of_both_within_its_scale_and_always_the_same(answers):
    score = measure_risk(read_answers(answers))
    assert 1 <= score.score <= 10
    assert score.score == min(score.willingness, score.capacity)
    assert score == measure_risk(read_answers(dict(reversed(answers.items()))))
    assert score.reasons


def test_the_ends_of_the_scale_are_reached():
    careful = {code: QUESTIONS[code].choices[0].code for code in CHOICE_CODES}
    daring = {code: QUESTIONS[code].choices[-1].code for code in CHOICE_CODES}
    poor = {"horizon_years": "1", "investable_wealth": "1000", "liquidity_need": "1000"}
    rich = {"horizon_years": "40", "investable_wealth": "1000000", "liquidity_need": "0"}
    lowest = measure_risk(read_answers({**careful, **poor}))
    highest = measure_risk(read_answers({**daring, **rich}))
    assert (lowest.willingness, lowest.capacity) == (1, 1)
    assert (highest.willingness, highest.capacity) == (10, 10)


@pytest.mark.parametrize(
    ("changes", "capacity_max"),
    [
        ({"horizon_years": "1"}, 1),
        ({"horizon_years": "2"}, 2),
        ({"horizon_years": "4"}, 4),
        ({"horizon_years": "6"}, 6),
        ({"liquidity_need": "60000"}, 2),
        ({"liquidity_need": "30001"}, 4),
        ({"liquidity_need": "15001"}, 6),
        ({"liquidity_need": "5001"}, 8),
    ],
)
def test_time_and_liquidity_cap_the_capacity_of_the_richest(changes, capacity_max):
    daring = {code: QUESTIONS[code].choices[-1].code for code in CHOICE_CODES}
    figures = {"horizon_years": "40", "investable_wealth": "100000", "liquidity_need": "0"}
    score = measure_risk(read_answers({**daring, **figures, **changes}))
    assert score.capacity == capacity_max
    assert any(f"limits the level to {capacity_max}" in reason for reason in score.reasons)


def test_a_small_bearable_loss_limits_bold_answers():
    daring = {code: QUESTIONS[code].choices[-1].code for code in CHOICE_CODES}
    score = measure_risk(read_answers(make_answers(**daring | {"loss_limit": "loss_5"})))
    assert score.willingness == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"priority": ""}, "Please answer"),
        ({"priority": "everything"}, "'everything' is not one of the answers"),
        ({"horizon_years": "0"}, "Give 1 to 40 years"),
        ({"horizon_years": "41"}, "Give 1 to 40 years"),
        ({"horizon_years": "-3"}, "whole number"),
        ({"horizon_years": "7.5"}, "whole number"),
        ({"horizon_years": "٣"}, "whole number"),
        ({"horizon_years": "9" * 5000}, "whole number"),
        ({"investable_wealth": "0"}, "must be above zero"),
        ({"investable_wealth": "NaN"}, "from zero up"),
        ({"investable_wealth": "1e400000"}, "from zero up"),
        ({"investable_wealth": "a lot"}, "in figures"),
        ({"investable_wealth": "1000.001"}, "two decimals"),
        ({"liquidity_need": "-1"}, "from zero up"),
        ({"liquidity_need": "Infinity"}, "from zero up"),
        ({"liquidity_need": None}, "Please answer"),
        ({"favourite_colour": "blue"}, "not a question"),
    ],
)
def test_bad_answers_are_refused_by_name(changes, words):
    with pytest.raises(AnswersRefused) as refusal:
        read_answers({**CALM_ANSWERS, **changes})
    assert list(refusal.value.problems) == list(changes)
    assert words in refusal.value.problems[next(iter(changes))]


def test_every_missing_answer_is_named_at_once():
    with pytest.raises(AnswersRefused) as refusal:
        read_answers({})
    assert set(refusal.value.problems) == set(QUESTIONS)


@pytest.mark.parametrize("code", list(QUESTIONS))
def test_not_knowing_any_answer_leads_to_a_person(code):
    with pytest.raises(TalkToAdvisor) as refusal:
        read_answers(make_answers(**{code: UNSURE}))
    assert refusal.value.codes == (code,)
    assert "advisor" in str(refusal.value)
    assert QUESTIONS[code].text in str(refusal.value)


DARING = {
    "priority": "growth",
    "loss_limit": "loss_30",
    "fall_reaction": "hold",
    "outcome_range": "range_4",
    "sure_or_chance": "unlikely",
    "experience": "long_practice",
    "uncertainty": "at_ease",
}
RULE_CASES = {
    "short_horizon_bold": {**DARING, "priority": "balanced", "horizon_years": "2"},
    "short_horizon_growth": {"priority": "growth", "horizon_years": "2"},
    "small_loss_buys_fall": {"loss_limit": "loss_10", "fall_reaction": "buy_more"},
    "large_loss_sells_fall": {"loss_limit": "loss_30", "fall_reaction": "sell_some"},
    "small_loss_wide_range": {"loss_limit": "loss_10", "outcome_range": "range_4"},
    "preserve_wide_range": {"priority": "preserve", "outcome_range": "range_4"},
    "maximum_narrow_range": {"priority": "maximum", "outcome_range": "range_1"},
    "maximum_small_loss": {"priority": "maximum", "loss_limit": "loss_10"},
    "sleepless_gambler": {"uncertainty": "lose_sleep", "sure_or_chance": "long_shot"},
    "beginner_maximum": {"experience": "none", "priority": "maximum"},
    "need_most_long_horizon": {"liquidity_need": "60000"},
    "need_above_wealth": {"liquidity_need": "100001", "horizon_years": "2"},
    "no_reserve_bold": {**DARING, "emergency_months": "months_1_3"},
    "drawing_growth": {"income_stability": "drawing", "priority": "growth"},
    "debts_bold": {**DARING, "debt_service": "share_35_50"},
    "fixed_goal_bold": {**DARING, "goal_flexibility": "fixed"},
    "all_the_same": {question.code: question.choices[1].code for question in WILLINGNESS.questions},
    "in_a_hurry": {},
    "sudden_change": {},
}


def find_codes(changes, **facts):
    answers = read_answers(make_answers(**changes))
    case = Case(answers=answers, score=measure_risk(answers), answered_date=TODAY, **facts)
    return [contradiction.code for contradiction in find_contradictions(case)]


@pytest.mark.parametrize("code", [code for code, _, _ in RULES])
def test_each_rule_fires_alone(code):
    facts = {}
    if code == "in_a_hurry":
        facts["seconds_taken"] = 29
    if code == "sudden_change":
        calm = measure_risk(read_answers(CALM_ANSWERS)).willingness
        facts["previous"] = Previous(calm - 2, TODAY - timedelta(days=90))
    assert find_codes(RULE_CASES[code], **facts) == [code]


def test_calm_answers_contradict_nothing():
    calm = measure_risk(read_answers(CALM_ANSWERS)).willingness
    assert find_codes({}) == []
    assert find_codes({}, seconds_taken=30) == []
    assert find_codes({}, previous=Previous(calm - 1, TODAY - timedelta(days=1))) == []
    assert find_codes({}, previous=Previous(calm - 5, TODAY - timedelta(days=91))) == []
