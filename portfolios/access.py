"""The only way to a fact that a user named. What is not of their firm does not exist for them: 404.

Securities, models and prices are the firm's own and open to its advisors and admins; which pages a
role sees at all is said at each view.
"""

from typing import TYPE_CHECKING
from uuid import UUID

from django.http import Http404

from accounts.access import get_household_for, visible_accounts
from accounts.domain.roles import Role
from portfolios import models
from portfolios.domain.statements import Statement

if TYPE_CHECKING:
    from accounts.models import User

STAFF = (Role.ADVISOR, Role.ADMIN)


def get_model_for(user: "User", public_id: UUID) -> models.ModelPortfolio:
    """Return a model portfolio of the user's firm.

    :raises Http404: when there is none, or the user is no advisor or admin.
    """
    model = models.ModelPortfolio.objects.filter(
        firm_id=_staff_firm_id(user), public_id=public_id
    ).first()
    if model is None:
        raise Http404
    return model


def get_version_for(user: "User", public_id: UUID, number: int) -> models.ModelVersion:
    """Return a version of a model of the user's firm, with its model and people.

    :raises Http404: as `get_model_for`, and when the model has no such version.
    """
    version = (
        models.ModelVersion.objects.filter(
            model__firm_id=_staff_firm_id(user), model__public_id=public_id, number=number
        )
        .select_related("model", "author", "publisher")
        .first()
    )
    if version is None:
        raise Http404
    return version


def get_security_for(user: "User", public_id: UUID) -> models.Security:
    """Return a security of the user's firm, with its asset class.

    :raises Http404: when there is none, or the user is no advisor or admin.
    """
    security = (
        models.Security.objects.filter(firm_id=_staff_firm_id(user), public_id=public_id)
        .select_related("asset_class")
        .first()
    )
    if security is None:
        raise Http404
    return security


def get_refused_price_for(user: "User", refused_price_id: int) -> models.RefusedPrice:
    """Return a refused quote of the user's firm.

    :raises Http404: when there is none, or the user is no admin.
    """
    if user.role != Role.ADMIN:
        raise Http404
    row = models.RefusedPrice.objects.filter(
        firm_id=_staff_firm_id(user), pk=refused_price_id
    ).first()
    if row is None:
        raise Http404
    return row


def list_importable_account_ids(user: "User", statement: Statement) -> list[int]:
    """Return the ids of the statement's accounts that this user may take into the books."""
    if user.role not in STAFF:
        return []
    numbers = {account.number for account in statement.accounts}
    return list(visible_accounts(user).filter(number__in=numbers).values_list("pk", flat=True))


def _staff_firm_id(user: "User") -> int:
    if not user.is_active or user.role not in STAFF:
        raise Http404
    return user.firm_id


def get_wish_id_for(user: "User", household_public_id: UUID, wish_id: int) -> int:
    """Return the id of a wish of a household that the user may see.

    :raises Http404: when there is none, or the household is not theirs to see.
    """
    household = get_household_for(user, household_public_id)
    if not household.wishes.filter(pk=wish_id).exists():
        raise Http404
    return wish_id
