"""What would happen if: how many accounts a model version would put outside their bands."""

from dataclasses import dataclass
from datetime import date

from portfolios.queries import market
from rebalancer.engine.drift import measure_drift
from rebalancer.engine.targets import resolve_targets
from rebalancer.queries.books import load_book


@dataclass(frozen=True, slots=True)
class BreachPreview:
    """How many of the accounts that follow a model breach their bands, now and then."""

    accounts: int
    before: int
    after: int
    blocked: int


def count_breaches(*, firm_id: int, version_id: int, price_date: date) -> BreachPreview:
    """Measure every account that follows the version's model as if it were published."""
    account_ids = market.list_following_accounts(version_id)
    published_id = market.get_published_sibling(version_id)
    breached, blocked = [], 0
    for overrides in (None, {published_id: version_id} if published_id else None):
        book = load_book(
            firm_id=firm_id,
            account_ids=account_ids,
            price_date=price_date,
            model_overrides=overrides,
        )
        targets = resolve_targets(book)
        breached.append(int(measure_drift(book, targets).is_breached.sum()))
        blocked = len(targets.blocked)
    return BreachPreview(
        accounts=len(account_ids), before=breached[0], after=breached[1], blocked=blocked
    )
