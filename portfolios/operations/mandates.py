"""Mandates: their asset classes checked against the firm's list, then kept with people."""

from typing import TYPE_CHECKING

from django.db import transaction

from accounts.operations import consents
from accounts.operations.consents import MandateDetails
from accounts.queries.people import get_account
from portfolios.queries.securities import list_asset_classes
from robo.common.errors import Refused

if TYPE_CHECKING:
    from accounts.models import Mandate


class UnknownAssetClass(Refused):
    """The mandate names a kind of security that the firm does not have."""


@transaction.atomic
def record_mandate(*, account_id: int, details: MandateDetails, user_id: int) -> "Mandate":
    """Put a client's mandate on record; a limit to a kind that there is not would stop all trades.

    :raises UnknownAssetClass: naming the code, and those that the firm has.
    :raises NotAllowed: when the person may not.
    :raises Refused: when text, signature, dates or limits make no sense.
    """
    known = [row.code for row in list_asset_classes(get_account(account_id).firm_id)]
    unknown = [code for code in details.asset_classes if code not in known]
    if unknown:
        raise UnknownAssetClass(
            f"The firm has no asset class “{unknown[0]}”. It has: {', '.join(known) or 'none yet'}."
        )
    return consents.record_mandate(account_id=account_id, details=details, user_id=user_id)
