"""The risk profile of a household: the questionnaire, the score with its reasons, all versions."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import messages
from django.core import signing
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from accounts.access import (
    get_household_for,
    get_known_household_for,
    get_signed_in_user,
    has_permission,
    require_permission,
)
from accounts.domain.permissions import Permission
from accounts.domain.questionnaire import QUESTIONS
from accounts.domain.risk import LEVEL_MAX
from accounts.domain.roles import Role
from accounts.forms import QuestionnaireForm
from accounts.forms.consents import ReviewForm
from accounts.operations import risk
from accounts.queries import risk as queries
from robo.common import clock
from robo.common.errors import Refused

if TYPE_CHECKING:
    from accounts.models import RiskProfile

MONEY_QUESTIONS = ("investable_wealth", "liquidity_need")
START_SALT = "risk-questionnaire"
VERSIONS_A_PAGE = 20


@require_safe
@require_permission(Permission.READ_PROFILE)
def risk_profile(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Show the present profile, why it is so, and the versions before it."""
    user = get_signed_in_user(request)
    household = get_known_household_for(user, public_id)
    versions = Paginator(queries.list_profiles(household.pk), VERSIONS_A_PAGE)
    profile = queries.get_latest_profile(household.pk)
    context = {
        "household": household,
        "profile": profile,
        "levels": _show_levels(profile) if profile else [],
        "answers": _show_answers(profile.answers) if profile else [],
        "page": versions.get_page(request.GET.get("page")),
        "can_answer": has_permission(user, Permission.WRITE_PROFILE),
        "is_own": user.role == Role.CLIENT,
        "review": queries.get_review(profile.pk) if profile else None,
        "review_form": ReviewForm(),
        "may_review": has_permission(user, Permission.REVIEW_PROFILES),
    }
    return render(request, "accounts/risk_profile.html", context)


@require_permission(Permission.WRITE_PROFILE)
def risk_questionnaire(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Ask the questions; complete answers become the household's next version."""
    user = get_signed_in_user(request)
    household = get_household_for(user, public_id)
    form = QuestionnaireForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            profile = risk.answer_questionnaire(
                household_id=household.pk,
                answers=form.cleaned_data["answers"],
                actor_id=user.pk,
                now=clock.now(),
                seconds_taken=_measure_seconds(request.POST.get("started", "")),
            )
        except Refused as refusal:
            form.add_error(None, str(refusal))
        else:
            if profile.contradictions:
                messages.warning(request, "Saved. Some answers do not fit together; see below.")
            else:
                messages.success(request, "Saved. Thank you.")
            return redirect("accounts:risk_profile", public_id=household.public_id)
    if request.method == "POST" and form.talk_to_advisor is not None:
        risk.ask_for_help(
            household_id=household.pk, codes=form.talk_to_advisor.codes, actor_id=user.pk
        )
    context = {
        "household": household,
        "form": form,
        "started": request.POST.get("started") or _sign_start(),
        "is_own": user.role == Role.CLIENT,
    }
    status = 422 if form.is_bound and form.errors else 200
    return render(request, "accounts/risk_questionnaire.html", context, status=status)


def _sign_start() -> str:
    return signing.dumps(int(clock.now().timestamp()), salt=START_SALT)


def _measure_seconds(started: str) -> int | None:
    """Return how long the answers took, or None when the page's own start is not to be trusted."""
    try:
        return max(int(clock.now().timestamp()) - int(signing.loads(started, salt=START_SALT)), 0)
    except (signing.BadSignature, ValueError, TypeError):
        return None


def _show_levels(profile: "RiskProfile") -> list[dict[str, Any]]:
    levels = (("Willingness", profile.willingness), ("Capacity", profile.capacity))
    return [
        {"label": label, "fraction": level / LEVEL_MAX, "detail": f"{level} of {LEVEL_MAX}"}
        for label, level in levels
    ]


def _show_answers(answers: dict[str, Any]) -> list[dict[str, Any]]:
    """Return questions and answers in words, as asked; what is no longer asked keeps its code."""
    asked = [code for code in QUESTIONS if code in answers]
    return [
        {
            "is_money": code in MONEY_QUESTIONS,
            "question": QUESTIONS[code].text,
            "answer": QUESTIONS[code].get_label(answers[code]),
        }
        for code in asked
    ] + [
        {"is_money": False, "question": code, "answer": answer}
        for code, answer in answers.items()
        if code not in QUESTIONS
    ]
