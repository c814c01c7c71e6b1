"""The small firm of one schedule, and proposals prepared for it without the engine."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_DOWN, Decimal
from random import Random
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from django.db import transaction

from accounts.domain.roles import Role
from accounts.models import Account, User
from accounts.operations import people as people_operations
from portfolios.domain.kinds import Side
from portfolios.domain.lots import Lot
from portfolios.models import Security
from portfolios.queries.books import get_cash, list_open_lots
from portfolios.queries.market import get_latest_prices, get_published_versions
from rebalancer import models
from rebalancer.domain.kinds import Cause, CheckStatus, Mode, Path, TradeReason
from rebalancer.domain.plan import AccountTerms, Plan, SecurityTerms, WantedTrade, build_plan
from rebalancer.engine.answer import TradeNote
from rebalancer.engine.case.store import write_case
from rebalancer.operations import proposals
from rebalancer.operations.solving import Solved
from rebalancer.operations.storing import store_proposals
from rebalancer.queries.books import load_book
from tests import people
from tests.rebalancer.world import SECURITIES, World, make_world

ZERO = Decimal(0)
OLD = date(2020, 1, 2)
ACCOUNTS = 3
# Enough for a buy at any price the broker makes, and for the half spread.
HEADROOM = Decimal("0.98")


@dataclass
class SimFirm:
    """A firm with its people, its accounts, and what went into them."""

    world: World
    supervisors: list[User]
    operator: User
    opening_cash: dict[int, Decimal]
    opening_shares: dict[tuple[int, int], Decimal]
    proposal_count: int = 0

    @property
    def pk(self) -> int:
        """Return the firm's id."""
        return self.world.firm.pk

    @property
    def today(self) -> date:
        """Return the firm's simulated day."""
        day = self.world.firm.simulated_date
        assert day is not None
        return day


def make_firm(rng: Random) -> SimFirm:
    """Return a firm with some accounts, each of a household of its own, all with the advisors."""
    world = make_world(name=f"Firm {uuid4().hex[:12]}")
    opening_cash, opening_shares = {}, {}
    for number in range(ACCOUNTS):
        household = world.household
        if number:
            household = people.make_household(world.firm, f"Household {uuid4()}")
            for advisor, is_lead in ((world.advisor, True), (world.colleague, False)):
                people_operations.assign_advisor(
                    household_id=household.pk,
                    advisor_id=advisor.pk,
                    is_lead=is_lead,
                    actor_id=world.admin.pk,
                )
        cash = str(rng.choice((500, 4000, 20000)))
        lots = [
            (symbol, str(rng.randint(5, 120)), str(rng.randint(900, 5000)), OLD)
            for symbol in SECURITIES
            if rng.random() < 0.7
        ]
        account = world.add_account(cash, lots=lots, household_id=household.pk)
        opening_cash[account.pk] = Decimal(cash)
        for symbol, quantity, _cost, _day in lots:
            opening_shares[account.pk, world.security_ids[symbol]] = Decimal(quantity)
    return SimFirm(
        world=world,
        supervisors=[people.make_user(world.firm, Role.SUPERVISOR) for _ in range(2)],
        operator=people.make_user(world.firm, Role.OPERATOR),
        opening_cash=opening_cash,
        opening_shares=opening_shares,
    )


# --- Proposals without the engine ----------------------------------------------------------------


@transaction.atomic
def prepare_proposal(
    firm: SimFirm, account: Account, rng: Random, *, maker_id: int, now: datetime
) -> bool:
    """Store a proposal of random trades through the product's own door; False: none fits now."""
    pending = proposals._lock_accounts([account.pk])
    if not proposals._may_be_replaced(pending.get(account.pk)):
        return False
    prices = {
        security_id: price
        for security_id, (_day, price) in get_latest_prices(
            firm_id=firm.pk, price_date=firm.today, age_days_max=5
        ).items()
    }
    book = load_book(
        firm_id=firm.pk, account_ids=[account.pk], price_date=firm.today, is_whole_household=True
    )
    case = write_case(book, range(book.account_count))
    terms, wanted = _draw_trades(firm, account, rng, prices, set(case["targets"]["securities"]))
    # As the product does: an account of which something has no price waits.
    if not wanted or not set(terms.lot_security.values()) <= set(prices):
        return False
    plan = build_plan(terms=terms, wanted=wanted, trade_date=firm.today)
    firm.proposal_count += 1
    [version_id] = get_published_versions([account.pk]).values()
    check = models.Check.objects.create(
        firm_id=firm.pk,
        account=account,
        policy=firm.world.policy,
        model_version_id=version_id,
        cause=Cause.REQUESTED,
        period_key=f"simulated-{firm.proposal_count}-{rng.getrandbits(32)}",
        price_date=firm.today,
        status=CheckStatus.PROPOSED,
    )
    solved = _describe(firm, account, check, plan, version_id, terms, prices, case)
    store_proposals([solved], pending, now=now, proposed_by_id=maker_id)
    return True


def _draw_trades(
    firm: SimFirm,
    account: Account,
    rng: Random,
    prices: dict[int, Decimal],
    wanted_symbols: set[str],
) -> tuple[AccountTerms, list[WantedTrade]]:
    cash = get_cash([account.pk])[account.pk][0]
    securities = {
        row.pk: SecurityTerms(
            row.pk, row.symbol, prices[row.pk], row.half_spread_bps, row.share_step
        )
        for row in Security.objects.filter(firm_id=firm.pk).order_by("id")
        if row.pk in prices
    }
    lots, lot_security, held = {}, {}, {}
    for lot in list_open_lots([account.pk]):
        lots[lot.lot_id] = Lot(lot.lot_id, lot.quantity, lot.cost, lot.acquired_date)
        lot_security[lot.lot_id] = lot.security_id
        held.setdefault(lot.security_id, []).append(lot)
    terms = AccountTerms(
        cash=cash,
        required_cash=ZERO,
        min_trade_amount=ZERO,
        is_taxable=True,
        short_term_rate=Decimal("0.3"),
        long_term_rate=Decimal("0.15"),
        lots=lots,
        lot_security=lot_security,
        never_buy=frozenset(),
        never_sell=frozenset(),
        may_wash=True,
    )
    chosen = rng.sample(sorted(securities), k=min(len(securities), rng.randint(1, 3)))
    wanted, budget = [], cash * HEADROOM
    for security_id in chosen:
        if security_id in held and rng.random() < 0.6:
            sale = _draw_sale(securities[security_id], held[security_id], rng)
            if sale is not None:
                wanted.append(sale)
                budget += sale.quantity * sale.security.price * HEADROOM
    sold = {want.security.security_id for want in wanted}
    for security_id in chosen:
        security = securities[security_id]
        spent = budget * Decimal(rng.choice((3, 6, 9, 10))) / 10
        quantity = _floor(spent / security.price * HEADROOM, security.share_step)
        # As the engine does: nothing that is neither wanted nor held already.
        may_buy = security.symbol in wanted_symbols or security_id in held
        if may_buy and security_id not in sold and quantity > 0:
            wanted.append(WantedTrade(security, Side.BUY, quantity, TradeReason.INVEST_CASH))
            budget -= quantity * security.price / HEADROOM
    return terms, wanted


def _draw_sale(security: SecurityTerms, lots: list[Any], rng: Random) -> WantedTrade | None:
    total = sum((lot.quantity for lot in lots), ZERO)
    quantity = total
    if rng.random() < 0.6:
        quantity = _floor(total * rng.randint(2, 9) / 10, security.share_step)
    if quantity <= 0:
        return None
    picks, left = [], quantity
    for lot in lots:
        taken = min(left, lot.quantity)
        if taken > 0:
            picks.append((lot.lot_id, taken))
            left -= taken
    return WantedTrade(security, Side.SELL, quantity, TradeReason.RAISE_CASH, tuple(picks))


def _floor(quantity: Decimal, step: Decimal) -> Decimal:
    return (max(quantity, ZERO) / step).quantize(Decimal(1), ROUND_DOWN) * step


def _describe(
    firm: SimFirm,
    account: Account,
    check: models.Check,
    plan: Plan,
    version_id: int,
    terms: AccountTerms,
    prices: dict[int, Decimal],
    case: dict[str, Any],
) -> Solved:
    ids = [trade.security.security_id for trade in plan.trades]
    value = terms.cash + sum(
        (lot.quantity * prices[terms.lot_security[key]] for key, lot in terms.lots.items()), ZERO
    )
    return Solved(
        check=check,
        plan=plan,
        case=case,
        answer=SimpleNamespace(mode=Mode.FULL, path=Path.ACCOUNT, path_reason=""),  # type: ignore[arg-type]
        household_plan=uuid4(),
        policy_id=firm.world.policy.pk,
        approval_hours_max=72,
        model_version_id=version_id,
        books_version=get_cash([account.pk])[account.pk][1],
        cash=terms.cash,
        required_cash=ZERO,
        value=value.quantize(Decimal("0.01")),
        class_of=dict.fromkeys(ids, "Simulated"),
        is_taxable=True,
        notes=(),
        untraded=[],
        certificate={},
        classes=[],
        drift_before=0.1,
        drift_after=0.0,
        weights=dict.fromkeys(ids, (0.1, 0.1, 0.1)),
        trade_notes=dict.fromkeys(ids, TradeNote(0.0, ZERO, ZERO, "", "")),
    )
