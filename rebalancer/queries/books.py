"""Reads the Book: all the engine must know of some accounts, in a fixed number of queries."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

from accounts.domain.roles import WishKind
from accounts.queries import people, planning
from portfolios.domain.kinds import Side
from portfolios.domain.tax.lot_methods import LotMethod
from portfolios.queries import books as book_queries
from portfolios.queries import market
from portfolios.queries.breaks import list_frozen
from portfolios.queries.taxes import TaxStanding, load_tax_standing
from rebalancer import models
from rebalancer.domain.household import HouseholdTerms
from rebalancer.domain.kinds import (
    BandLevel,
    BandMeasure,
    CapKind,
    Destination,
    DriftMeasure,
    Schedule,
    Trigger,
)
from rebalancer.domain.policy import CapTerms, PolicyTerms
from rebalancer.engine.book import (
    EXCLUDED,
    NO_BUY,
    NO_SELL,
    AccountRow,
    Book,
    LockRow,
    LotRow,
    ModelRow,
    RecentTradeRow,
    SecurityRow,
    build_book,
)
from rebalancer.queries.controls import get_limits
from rebalancer.queries.costs import MeasuredCost, get_measured_costs

# One shard of the nightly run; what a worker holds in memory at once.
SHARD_ACCOUNTS = 5_000
# Columns that are the term of the same name, number for number.
PLAIN_TERMS = (
    "cron_line",
    "absolute_band",
    "relative_band",
    "band_floor",
    "min_trade_amount",
    "cash_floor_amount",
    "need_horizon_days",
    "approval_hours_max",
    "price_tolerance",
    "willingness",
    "risk_aversion",
    "risk_horizon_years",
    "tracking_error_max",
    "destination_share",
    "hurdle_bps",
    "ticket_price",
    "commission_fixed",
    "commission_bps",
    "turnover_max",
    "harvests_losses",
    "harvest_benefit_min",
    "harvest_drift_max",
    "hold_for_long_term_days",
    "transition_years",
    "transition_start_year",
)


def describe_policy(policy: models.Policy) -> PolicyTerms:
    """Return a policy row as plain terms."""
    return PolicyTerms(
        policy_id=policy.pk,
        trigger=Trigger(policy.trigger),
        schedule=Schedule(policy.schedule),
        band_level=BandLevel(policy.band_level),
        band_measure=BandMeasure(policy.band_measure),
        destination=Destination(policy.destination),
        drift_measure=DriftMeasure(policy.drift_measure),
        lot_method=LotMethod(policy.lot_method),
        caps=read_caps(policy.caps),
        **{name: getattr(policy, name) for name in PLAIN_TERMS},
    )


def read_caps(caps: Sequence[Mapping[str, str]]) -> tuple[CapTerms, ...]:
    """Return caps as plain terms."""
    return tuple(
        CapTerms(CapKind(cap["kind"]), cap["name"], Decimal(cap["max_weight"])) for cap in caps
    )


def load_book(
    *,
    firm_id: int,
    account_ids: Sequence[int],
    price_date: date,
    extra_locks: Sequence[LockRow] = (),
    model_overrides: Mapping[int, int] | None = None,
    is_whole_household: bool = False,
) -> Book:
    """Return the Book of these accounts as of `price_date`; one household or a whole shard.

    `model_overrides` (published version id -> another version id) shows accounts against a model
    version that is not published yet. With `is_whole_household`, the other open accounts of
    households that are managed as one come along, frozen. The number of queries does not grow with
    the accounts.
    """
    firm = people.get_firm(firm_id)
    facts = planning.list_account_facts(account_ids, is_whole_household=is_whole_household)
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
    names = market.get_renamed_symbols(firm_id)
    terms = {
        policy.pk: _rename_caps(describe_policy(policy), names) for policy in policies.values()
    }
    policy_ids = {account_id: policy.pk for account_id, policy in policies.items()}
    households = planning.list_tax_facts(sorted({row.household_id for row in facts}))
    standing = load_tax_standing(
        regimes={row.household_id: row.tax_regime for row in households},
        account_ids=ids,
        day=price_date,
    )
    securities = market.list_security_facts(
        firm_id=firm_id, price_date=price_date, age_days_max=firm.price_age_days_max
    )
    costs = get_measured_costs(firm_id=firm_id, limits=get_limits([firm_id])[firm_id])
    model_rows = [
        ModelRow(row.version_id, row.name, row.cash_weight, row.weights)
        for row in market.list_model_facts(sorted(set(versions.values())))
    ]
    lots = _list_lots(ids, standing)
    return build_book(
        price_date=price_date,
        securities=[_describe_security(row, costs.get(row.security_id)) for row in securities],
        models=model_rows,
        policies=list(terms.values()),
        households=[_describe_household(row, standing) for row in households],
        accounts=_list_accounts(facts, versions, policy_ids, terms, price_date, set(account_ids)),
        lots=lots,
        locks=[
            *_list_locks(facts, securities, names),
            *_list_frozen(ids, securities),
            *extra_locks,
        ],
        recent_trades=_list_recent_trades(standing, lots),
        covariance=_load_covariance(list(terms.values()), securities, model_rows, lots, price_date),
    )


def _list_accounts(
    facts: Sequence[planning.AccountFacts],
    versions: Mapping[int, int],
    policy_ids: Mapping[int, int],
    terms: Mapping[int, PolicyTerms],
    price_date: date,
    asked_ids: set[int],
) -> list[AccountRow]:
    ids = [row.account_id for row in facts]
    needs: dict[int, Decimal] = defaultdict(Decimal)
    for account_id, due_date, amount in planning.list_cash_needs(ids):
        horizon = terms[policy_ids[account_id]].need_horizon_days if account_id in policy_ids else 0
        if due_date <= price_date + timedelta(days=horizon):
            needs[account_id] += amount
    cash = book_queries.get_cash(ids)
    return [
        AccountRow(
            account_id=row.account_id,
            household_id=row.household_id,
            cash=cash[row.account_id][0],
            books_version=cash[row.account_id][1],
            model_version_id=versions.get(row.account_id),
            policy_id=policy_ids.get(row.account_id),
            tax_status=row.tax_status,
            need_amount=needs[row.account_id],
            is_frozen=row.account_id not in asked_ids,
        )
        for row in facts
    ]


def _describe_security(row: market.SecurityFacts, cost: MeasuredCost | None) -> SecurityRow:
    return SecurityRow(
        security_id=row.security_id,
        symbol=row.symbol,
        class_name=row.class_name,
        class_rank=row.class_rank,
        price=row.price,
        share_step=row.share_step,
        half_spread_bps=cost.half_spread_bps if cost else row.half_spread_bps,
        is_buyable=row.is_active and not row.is_unclassified,
        is_unclassified=row.is_unclassified,
        substitutes=row.substitutes,
        sheltered_substitutes=row.sheltered_substitutes,
        identical_group=row.identical_group,
        sector=row.sector,
        issuer=row.issuer,
        daily_volume=row.daily_volume,
        volatility=row.volatility,
        qualified_yield=row.qualified_yield,
        ordinary_yield=row.ordinary_yield,
        themes=row.themes,
    )


def _describe_household(row: planning.TaxFacts, standing: TaxStanding) -> HouseholdTerms:
    short_gain, long_gain = standing.year_gains[row.household_id]
    return HouseholdTerms(
        household_id=row.household_id,
        short_term_rate=row.short_term_rate,
        long_term_rate=row.long_term_rate,
        regime=row.tax_regime,
        deduction_rate=row.deduction_rate,
        carried_share=row.carried_share,
        year_short_gain=short_gain,
        year_long_gain=long_gain,
        carried_short_loss=row.carried_short_loss,
        carried_long_loss=row.carried_long_loss,
        loss_cap=row.loss_cap,
        gains_budget=row.gains_budget,
        discount_rate=row.discount_rate,
        deferral_years=row.deferral_years,
        realised_share=row.realised_share,
        is_together=row.is_together,
    )


def _list_lots(account_ids: Sequence[int], standing: TaxStanding) -> list[LotRow]:
    """Return open lots with cost and date as tax law sees them, where that differs."""
    return [
        LotRow(
            lot.account_id,
            lot.lot_id,
            lot.security_id,
            lot.quantity,
            *standing.basis.get(lot.lot_id, (lot.cost, lot.acquired_date)),
        )
        for lot in book_queries.list_open_lots(account_ids)
    ]


def _list_recent_trades(standing: TaxStanding, lots: Sequence[LotRow]) -> list[RecentTradeRow]:
    """Return recent trades; what is left of a purchase is a lot, and counts as one already."""
    open_purchases = {(lot.account_id, lot.security_id, lot.acquired_date) for lot in lots}
    return [
        RecentTradeRow(
            household_id=row.household_id,
            security_id=row.security_id,
            side=row.side,
            trade_date=row.trade_date,
            is_taxable=row.is_taxable,
            gain=row.gain,
        )
        for row in standing.recent_trades
        if row.side is Side.SELL
        or (row.account_id, row.security_id, row.trade_date) not in open_purchases
    ]


def _load_covariance(
    policies: Sequence[PolicyTerms],
    securities: Sequence[market.SecurityFacts],
    model_rows: Sequence[ModelRow],
    lots: Sequence[LotRow],
    price_date: date,
) -> dict[tuple[int, int], float] | None:
    """Return the covariance of all that is held or may be bought, if a policy asks for it."""
    if not any(
        row.trigger is Trigger.RISK or row.drift_measure is DriftMeasure.RISK for row in policies
    ):
        return None
    wanted = {security_id for row in model_rows for security_id, _weight in row.weights}
    by_id = {row.security_id: row for row in securities}
    for security_id in tuple(wanted):
        wanted |= {*by_id[security_id].substitutes, *by_id[security_id].sheltered_substitutes}
    wanted |= {lot.security_id for lot in lots}
    return market.load_covariance(
        volatilities={security_id: by_id[security_id].volatility for security_id in wanted},
        price_date=price_date,
    )


def _rename_caps(terms: PolicyTerms, names: Mapping[str, str]) -> PolicyTerms:
    """Return terms whose caps go by today's symbols; people named them as they were called then."""
    caps = tuple(
        replace(cap, name=names.get(cap.name, cap.name)) if cap.kind is CapKind.SECURITY else cap
        for cap in terms.caps
    )
    return replace(terms, caps=caps)


def _list_frozen(
    account_ids: Sequence[int], securities: Sequence[market.SecurityFacts]
) -> list[LockRow]:
    """Return locks on what must not trade: broken with the broker, or no longer listed.

    Where the cash is in doubt the account buys nothing.
    """
    return [
        LockRow(account_id, row.security_id, NO_BUY if frozen is None else NO_BUY | NO_SELL)
        for account_id, frozen in sorted(list_frozen(account_ids), key=str)
        for row in securities
        if frozen in (None, row.security_id)
    ]


def _list_locks(
    accounts: Sequence[planning.AccountFacts],
    securities: Sequence[market.SecurityFacts],
    names: Mapping[str, str],
) -> list[LockRow]:
    """Return what households' wishes mean for each of their accounts, security by security."""
    by_symbol = {row.symbol: row.security_id for row in securities}
    # A wish stands by the name that it was told in.
    by_symbol = {old: by_symbol[new] for old, new in names.items() if new in by_symbol} | by_symbol
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
