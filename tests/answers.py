"""A complete, calm set of answers to the risk questionnaire, to be varied by tests."""

CALM_ANSWERS = {
    "priority": "balanced",
    "loss_limit": "loss_20",
    "fall_reaction": "wait",
    "outcome_range": "range_3",
    "sure_or_chance": "likely",
    "experience": "funds",
    "uncertainty": "neutral",
    "emergency_months": "months_6_12",
    "income_stability": "steady",
    "debt_service": "under_10",
    "goal_flexibility": "some",
    "horizon_years": "15",
    "investable_wealth": "100000",
    "liquidity_need": "0",
}


def make_answers(**changes: str) -> dict[str, str]:
    """Return the calm answers with some of them changed."""
    return {**CALM_ANSWERS, **changes}
