"""Reads the Book: all the engine must know of some accounts, in a fixed number of queries."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal

from accounts.domain.roles import TaxStatus, WishKind
from accounts.queries import people, planning
from portfolios.queries import books as book_queries
from portfolios.queries import market
from rebalancer import models
from rebalancer.domain.kinds import BandLevel, BandMeasure, Destination, Schedule, Trigger
from rebalancer.domain.policy import PolicyTerms
from rebalancer.engine.book import (
    EXCLUDED,
    NO_BUY,
    NO_SELL,
    AccountRow,
    Book,
    LockRow,
    LotRow,
    ModelRow,
    SecurityRow,
    build_book,
)

# One shard of the nightly run; what a worker holds in memory at once.
SHARD_ACCOUNTS = 5_000


def describe_policy(policy: models.Policy) -> PolicyTerms:
    """Return a policy row as plain terms."""
    return PolicyTerms(
        policy_id=policy.pk,
        trigger=Trigger(policy.trigger),
        schedule=Schedule(policy.schedule),
        cron_line=policy.cron_line,
        band_level=BandLevel(policy.band_level),
        band_measure=BandMeasure(policy.band_measure),
        absolute_band=policy.absolute_band,
        relative_band=policy.relative_band,
        band_floor=policy.band_floor,
        destination=Destination(policy.destination),
        min_trade_amount=policy.min_trade_amount,
        cash_floor_amount=policy.cash_floor_amount,
        need_horizon_days=policy.need_horizon_days,
        approval_hours_max=policy.approval_hours_max,
        price_tolerance=policy.price_tolerance,
    )


def load_book(
    *,
    firm_id: int,
    account_ids: Sequence[int],
    price_date: date,
    extra_locks: Sequence[LockRow] = (),
    model_overrides: Mapping[int, int] | None = None,
) -> Book:
    """Return the Book of these accounts as of `price_date`; one household or a whole shard.

    `model_overrides` (published version id -> another version id) shows accounts against a model
    version that is not published yet. The number of queries does not grow with the accounts.
    """
    firm = people.get_firm(firm_id)
    facts = planning.list_account_facts(account_ids)
    ids = [row.account_id for row in facts]
    versions = market.get_published_versions(ids)
    if model_overrides:
        versions = {a: model_overrides.get(v, v) for a, v in versions.items()}
    policies = {
        row.account_id: row.policy
        for row in models.PolicyAssignment.objects.filter(
            account_id__in=ids, policy__is_active=True
        ).select_related("policy")
    }
    terms = {policy.pk: describe_policy(policy) for policy in policies.values()}
    needs: dict[int, Decimal] = defaultdict(Decimal)
    for account_id, due_date, amount in planning.list_cash_needs(ids):
        horizon = terms[policies[account_id].pk].need_horizon_days if account_id in policies else 0
        if due_date <= price_date + timedelta(days=horizon):
            needs[account_id] += amount
    cash = book_queries.get_cash(ids)
    securities = market.list_security_facts(
        firm_id=firm_id, price_date=price_date, age_days_max=firm.price_age_days_max
    )
    return build_book(
        price_date=price_date,
        securities=[
            SecurityRow(
                security_id=row.security_id,
                symbol=row.symbol,
                class_name=row.class_name,
                class_rank=row.class_rank,
                price=row.price,
                share_step=row.share_step,
                half_spread_bps=row.half_spread_bps,
                is_buyable=row.is_active and not row.is_unclassified,
                is_unclassified=row.is_unclassified,
                substitutes=row.substitutes,
                themes=row.themes,
            )
            for row in securities
        ],
        models=[
            ModelRow(row.version_id, row.name, row.cash_weight, row.weights)
            for row in market.list_model_facts(sorted(set(versions.values())))
        ],
        policies=list(terms.values()),
        accounts=[
            AccountRow(
                account_id=row.account_id,
                cash=cash[row.account_id][0],
                books_version=cash[row.account_id][1],
                model_version_id=versions.get(row.account_id),
                policy_id=policies[row.account_id].pk if row.account_id in policies else None,
                is_taxable=row.tax_status is TaxStatus.TAXABLE,
                short_term_rate=row.short_term_rate,
                long_term_rate=row.long_term_rate,
                need_amount=needs[row.account_id],
            )
            for row in facts
        ],
        lots=[
            LotRow(
                lot.account_id,
                lot.lot_id,
                lot.security_id,
                lot.quantity,
                lot.cost,
                lot.acquired_date,
            )
            for lot in book_queries.list_open_lots(ids)
        ],
        locks=[*_list_locks(facts, securities), *extra_locks],
    )


def _list_locks(
    accounts: Sequence[planning.AccountFacts], securities: Sequence[market.SecurityFacts]
) -> list[LockRow]:
    """Return what households' wishes mean for each of their accounts, security by security."""
    by_symbol = {row.symbol: row.security_id for row in securities}
    by_theme: dict[str, list[int]] = defaultdict(list)
    for row in securities:
        for theme in row.themes:
            by_theme[theme].append(row.security_id)
    by_household: dict[int, list[int]] = defaultdict(list)
    for account in accounts:
        by_household[account.household_id].append(account.account_id)
    locks: list[LockRow] = []
    for wish in planning.list_wishes(sorted(by_household)):
        if wish.kind == WishKind.EXCLUDE:
            subjects, code = by_theme[wish.subject], EXCLUDED
        else:
            subjects = [by_symbol[wish.subject]] if wish.subject in by_symbol else []
            code = NO_BUY if wish.kind == WishKind.NEVER_BUY else NO_SELL
        locks.extend(
            LockRow(account_id, security_id, code)
            for account_id in by_household[wish.household_id]
            for security_id in subjects
        )
    return locks
