"""Money out of an account whose orders may be out: what they will take must stay."""

import uuid
from datetime import date
from decimal import Decimal

from django.conf import settings
from django.db import transaction

from accounts.domain.roles import Role
from portfolios.domain.money import ZERO
from portfolios.operations import books
from portfolios.operations.entries import lock_books
from portfolios.queries.settlement import measure_unsettled_proceeds
from rebalancer.operations.execution.facts import measure_open_buys


def may_book_cash(*, role: str) -> bool:
    """Return whether a person's word is enough for money in the books.

    Advisors record what the custodian did; a client's own word counts in a simulated market only.
    """
    return role == Role.ADVISOR or (settings.DEMO and role == Role.CLIENT)


@transaction.atomic
def withdraw_cash(
    *, account_id: int, amount: Decimal, entry_date: date, token: uuid.UUID, actor_id: int
) -> None:
    """Book money that went to the client; a `token` books once.

    What a buy under way needs must stay, and what a sale brought is there when it has settled.

    :raises NotEnoughCash: naming what is there.
    :raises Refused: when the amount is not a positive number of cents.
    """
    # Before orders are read: whoever sends one holds this lock while its cash is set aside.
    lock_books([account_id])
    unsettled = measure_unsettled_proceeds(account_ids=[account_id], on_date=entry_date)
    under_way = measure_open_buys([account_id])
    books.withdraw_cash(
        account_id=account_id,
        amount=amount,
        entry_date=entry_date,
        token=token,
        actor_id=actor_id,
        # Buys under way are paid out of what the sales bring, as far as that goes: not both stay.
        reserved=max(under_way.get(account_id, ZERO), unsettled.get(account_id, ZERO)),
    )
