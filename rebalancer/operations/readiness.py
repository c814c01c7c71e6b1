"""What a household has to settle before anything can be traded in its accounts at all."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from portfolios.queries.books import get_today
from rebalancer.domain.mandates import Planned, list_mandate_gaps
from rebalancer.operations.checks import find_unsuited
from rebalancer.operations.consents import find_consent_gaps, read_mandates

if TYPE_CHECKING:
    from accounts.models import Account, Firm

NOTHING = Decimal(0)


def list_account_gaps(
    *, firm: "Firm", accounts: "Sequence[Account]", now: datetime
) -> dict[int, list[str]]:
    """Return, by account of one firm, in sentences, what stands in the way of any trade of it.

    The very questions that a look and a sender ask: texts, mandate, risk profile. What a certain
    proposal still needs, such as the client's yes, is `consents.find_missing`.
    """
    account_ids = [account.pk for account in accounts]
    today = get_today(firm, now)
    consent_gaps = find_consent_gaps(accounts, {firm.pk: today})
    mandates = read_mandates([account.pk for account in accounts if account.is_discretionary])
    unsuited = find_unsuited(firm_id=firm.pk, account_ids=account_ids, now=now)
    gaps = {}
    for account in accounts:
        missing = list(consent_gaps[account.household_id])
        if account.is_discretionary:
            terms = mandates.get(account.pk)
            # What may be proposed from the mandate's own moment on.
            planned = Planned(terms.recorded_at if terms else now, NOTHING, NOTHING, trades=())
            missing += list_mandate_gaps(terms, planned, today=today)
        if account.pk in unsuited:
            missing.append(f"{account.name} {unsuited[account.pk]}.")
        gaps[account.pk] = missing
    return gaps
