"""Answering the risk questionnaire: every answer is a new version, and none is ever changed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from django.db import transaction

from accounts import models
from accounts.domain import questionnaire
from accounts.domain.contradictions import Case, Previous, find_contradictions
from accounts.domain.risk import measure_risk
from accounts.domain.roles import Role
from accounts.operations.audit import record_audit_entry
from robo.common.errors import NotAllowed


class NotForThisHousehold(NotAllowed):
    """Only the household itself, or staff of its firm, may answer for it."""


@transaction.atomic
def answer_questionnaire(
    *,
    household_id: int,
    answers: Mapping[str, str],
    actor_id: int,
    now: datetime,
    seconds_taken: int | None = None,
) -> models.RiskProfile:
    """Store a household's answers with the risk score and contradictions that follow from them.

    :raises questionnaire.AnswersRefused: when answers are missing or unreadable.
    :raises questionnaire.TalkToAdvisor: when one of them is "I don't know".
    :raises NotForThisHousehold: when the person has nothing to do with the household.
    """
    read = questionnaire.read_answers(answers)
    # The lock gives versions in order, also when two people answer at once.
    household = models.Household.objects.select_for_update(no_key=True).get(pk=household_id)
    _check_actor(models.User.objects.get(pk=actor_id), household)
    latest = household.risk_profiles.order_by("-version").first()
    score = measure_risk(read)
    contradictions = find_contradictions(
        Case(
            answers=read,
            score=score,
            answered_date=now.date(),
            seconds_taken=seconds_taken,
            previous=Previous(latest.willingness, latest.answered_at.date()) if latest else None,
        )
    )
    profile = models.RiskProfile.objects.create(
        household=household,
        version=latest.version + 1 if latest else 1,
        questionnaire_version=questionnaire.VERSION,
        answers=read.as_text(),
        willingness=score.willingness,
        capacity=score.capacity,
        score=score.score,
        horizon_years=read.horizon_years,
        liquidity_need=read.liquidity_need,
        reasons=list(score.reasons),
        contradictions=[asdict(contradiction) for contradiction in contradictions],
        answered_by_id=actor_id,
    )
    _record(profile, actor_id)
    return profile


@transaction.atomic
def ask_for_help(*, household_id: int, codes: Sequence[str], actor_id: int) -> None:
    """Leave word for the advisor that somebody answered "I don't know", and to which questions.

    :raises NotForThisHousehold: when the person has nothing to do with the household.
    """
    household = models.Household.objects.get(pk=household_id)
    actor = models.User.objects.get(pk=actor_id)
    _check_actor(actor, household)
    record_audit_entry(
        firm_id=household.firm_id,
        actor_id=actor_id,
        household_id=household.pk,
        action="accounts.risk_profile.help_wanted",
        object_id=str(household.public_id),
        summary=f"{actor.name} would like to talk about the risk questionnaire",
        detail={"questions": list(codes)},
    )


def _check_actor(actor: models.User, household: models.Household) -> None:
    is_of_household = actor.role != Role.CLIENT or actor.household_id == household.pk
    if actor.firm_id != household.firm_id or not is_of_household:
        raise NotForThisHousehold(f"{actor.name} cannot answer for {household.name}.")


def _record(profile: models.RiskProfile, actor_id: int) -> None:
    count = len(profile.contradictions)
    doubts = ""
    if count:
        doubts = f"; {count} {'point' if count == 1 else 'points'} to reconsider"
    record_audit_entry(
        firm_id=profile.household.firm_id,
        actor_id=actor_id,
        household_id=profile.household_id,
        action="accounts.risk_profile.answered",
        object_id=f"{profile.household.public_id}/{profile.version}",
        summary=f"Risk questionnaire answered: risk score {profile.score} of 10{doubts}",
        detail={
            "willingness": profile.willingness,
            "capacity": profile.capacity,
            "contradictions": [item["code"] for item in profile.contradictions],
        },
    )
