"""Reads of risk profiles: the latest one, all of them, and those with contradictions."""

from collections.abc import Sequence

from django.db.models import OuterRef, QuerySet, Subquery

from accounts import models


def get_latest_profile(household_id: int) -> models.RiskProfile | None:
    """Return the household's present risk profile, or None before the first answers."""
    return list_profiles(household_id).first()


def list_profiles(household_id: int) -> QuerySet[models.RiskProfile]:
    """Return every version of a household's risk profile, newest first."""
    profiles = models.RiskProfile.objects.filter(household_id=household_id)
    return profiles.select_related("answered_by").order_by("-version")


def list_latest_profiles(household_ids: Sequence[int]) -> dict[int, models.RiskProfile]:
    """Return the present risk profile of each household that has one."""
    newest = models.RiskProfile.objects.filter(household=OuterRef("household")).order_by("-version")
    profiles = models.RiskProfile.objects.filter(
        household_id__in=household_ids, pk=Subquery(newest.values("pk")[:1])
    )
    return {profile.household_id: profile for profile in profiles}


def list_flagged_profiles(household_ids: Sequence[int]) -> list[models.RiskProfile]:
    """Return the present profiles among these households that hold contradictions."""
    profiles = list_latest_profiles(household_ids).values()
    return [profile for profile in profiles if profile.contradictions]


def get_review(profile_id: int) -> models.ProfileReview | None:
    """Return the note that settles a profile's contradictions, or None."""
    reviews = models.ProfileReview.objects.select_related("reviewed_by")
    return reviews.filter(profile_id=profile_id).first()
