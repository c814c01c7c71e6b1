"""Any order of trades, splits, dividends, corrections and breaks: three agree, no cent is lost.

After every step the ledger, the lots and the holdings agree, cash is what a simple tally says, cost
is conserved to the cent, and a rebuild finds nothing to put right. At the end of every run a
stranger's program reads the books and agrees as well.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from beancount import loader
from django.db import transaction
from django.db.models import Sum
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts.domain.roles import Role
from portfolios import models
from portfolios.domain.corporate_actions import scale_quantity
from portfolios.domain.export import WRITERS
from portfolios.domain.kinds import ActionKind, BreakKind, Side
from portfolios.domain.money import QUANTITY_STEP, floor_to_step, round_money
from portfolios.operations import books, breaks, dividends, rebuilding
from portfolios.operations.corporate_actions import ActionDetails, apply_actions
from portfolios.operations.corrections import reverse_entry
from portfolios.queries.books import check_books
from portfolios.queries.ledger_export import get_symbols, iter_account_books
from tests import people
from tests.market import make_price, make_security
from tests.portfolios.actions import announce_action
from tests.portfolios.test_books import OLD, fill, open_account

D = Decimal
START = date(2026, 6, 1)
RATIOS = [(2, 1), (3, 2), (7, 3), (1, 2), (1, 3), (2, 5)]
quantities = st.integers(1, 3_000_000_000).map(lambda n: D(n) * QUANTITY_STEP)
amounts = st.integers(0, 60_000).map(lambda n: D(n) / 100)


class BooksMachine(RuleBasedStateMachine):
    """Two accounts, one security, a day that moves on, and a tally of its own."""

    def __init__(self):
        super().__init__()
        self.world = transaction.atomic()
        self.world.__enter__()
        self.admin = people.make_user(people.make_firm(), Role.ADMIN)
        self.supervisor = people.make_user(self.admin.firm, Role.SUPERVISOR)
        self.security = make_security(self.admin, "AAA")
        make_price(self.admin, "AAA", START, "37.77")
        lots = [(self.security, "10", "333.33"), (self.security, "3", "100")]
        self.accounts = [open_account(self.admin, "5000", lots) for _ in range(2)]
        self.cash = dict.fromkeys(self.accounts, D(5000))
        self.shares = dict.fromkeys(self.accounts, Fraction(13))
        self.day, self.count = START, 0
        self.trades = []  # (entry, account, day, shares, money received), still to be taken back
        self.splits = []  # (day, ratio)

    def teardown(self):
        writer = WRITERS["beancount"](
            title="Books", currency="USD", symbols=get_symbols(self.admin.firm_id)
        )
        text = "\n".join(writer.write(iter_account_books(self.admin.firm_id), first_date=OLD))
        transaction.set_rollback(True)
        self.world.__exit__(None, None, None)
        _entries, errors, _options = loader.load_string(text)
        assert errors == []

    def factor(self, day):
        factor = Fraction(1)
        for split_day, ratio in self.splits:
            if split_day > day:
                factor *= ratio
        return factor

    def book(self, account, side, quantity, amount, picks, day):
        facts = fill(account, self.security, side, quantity, amount, picks)
        facts = books.FillToBook(
            **{name: getattr(facts, name) for name in facts.__slots__} | {"fill_date": day}
        )
        with transaction.atomic():
            [entry] = books.book_fills(fills=[facts], currency="USD")
        sign = 1 if side is Side.BUY else -1
        shares = sign * Fraction(quantity)
        self.shares[account] += shares * self.factor(day)
        self.cash[account] -= sign * amount
        self.trades.append((entry.pk, account, day, shares, -sign * amount))

    @rule(which=st.integers(0, 1), quantity=quantities, amount=amounts, late=st.integers(0, 4))
    def buy(self, which, quantity, amount, late):
        account, day = self.accounts[which], self.day - timedelta(days=late)
        if amount > self.cash[account]:
            with pytest.raises(books.BooksDisagree, match="overdraw"):
                self.book(account, Side.BUY, quantity, amount, (), day)
        elif scale_quantity(quantity, self.factor(day)) > 0:
            self.book(account, Side.BUY, quantity, amount, (), day)

    @rule(
        which=st.integers(0, 1),
        share=st.integers(1, 100),
        amount=amounts,
        late=st.integers(0, 4),
        skip=st.booleans(),
    )
    def sell(self, which, share, amount, late, skip):
        account, day = self.accounts[which], self.day - timedelta(days=late)
        held = models.Lot.objects.filter(account_id=account, quantity__gt=0).order_by("id")
        picks = []
        for lot in list(held)[1 if skip else 0 :]:
            # In the shares of the day of the sale.
            factor = self.factor(day)
            said = floor_to_step(
                lot.quantity * share / 100 * factor.denominator / factor.numerator, QUANTITY_STEP
            )
            if scale_quantity(said, factor) > 0:
                picks.append((lot.pk, said))
        if picks:
            total = sum(quantity for _lot, quantity in picks)
            self.book(account, Side.SELL, total, amount, picks, day)

    @precondition(lambda self: self.trades)
    @rule(pick=st.integers(0, 50))
    def take_back(self, pick):
        trade = self.trades[pick % len(self.trades)]
        entry_id, account, day, shares, money = trade
        said = ""
        try:
            with transaction.atomic():
                reverse_entry(
                    entry_id=entry_id,
                    source=f"bust:{entry_id}",
                    entry_date=self.day,
                    memo="Busted",
                )
        except books.BooksDisagree as error:
            said = str(error)
        if said:
            # Shares of a purchase are gone or changed, or money of a sale is spent: nothing else.
            reasons = ("sold on", "adjusted") if shares > 0 else ("left in cash",)
            assert any(reason in said for reason in reasons), said
            assert shares > 0 or money > self.cash[account]
            return
        self.trades.remove(trade)
        self.cash[account] -= money
        self.shares[account] -= shares * self.factor(day)

    @rule(ratio=st.sampled_from(RATIOS))
    def split(self, ratio):
        self.day += timedelta(days=3)
        new, old = ratio
        kind = ActionKind.SPLIT if new > old else ActionKind.REVERSE_SPLIT
        self.apply(ActionDetails(self.security.pk, kind, self.day, None, new, old))
        self.splits.append((self.day, Fraction(new, old)))
        for account in self.accounts:
            held = self.shares[account] * Fraction(new, old)
            in_lieu = models.Disposal.objects.filter(
                entry__kind="SPLIT", entry__entry_date=self.day, entry__account_id=account
            ).aggregate(shares=Sum("quantity", default=D(0)), cash=Sum("proceeds", default=D(0)))
            # The fraction goes, and nothing but the fraction.
            assert in_lieu["shares"] < 1
            self.shares[account] = held - Fraction(in_lieu["shares"])
            self.cash[account] += in_lieu["cash"]

    @rule(rate=st.integers(1, 3_000_000), reinvests=st.booleans())
    def dividend(self, rate, reinvests):
        self.day += timedelta(days=1)
        per_share = D(rate) / 1_000_000
        before = {pk: row.quantity for pk, row in self.holdings().items()}
        dividends.choose_reinvestment(
            account_id=self.accounts[0],
            security_id=None,
            reinvests=reinvests,
            actor_id=self.admin.pk,
        )
        self.apply(
            ActionDetails(
                self.security.pk, ActionKind.CASH_DIVIDEND, self.day, cash_per_share=per_share
            )
        )
        for account in self.accounts:
            self.cash[account] += round_money(before[account] * per_share)
        bought = models.Lot.objects.filter(
            opened_by__kind="REINVEST", opened_by__entry_date=self.day
        )
        for lot in bought:
            self.cash[lot.account_id] -= lot.opened_cost
            self.shares[lot.account_id] += Fraction(lot.opened_quantity)

    @rule(which=st.integers(0, 1), shares=st.integers(0, 40), cost=amounts)
    def settle_break(self, which, shares, cost):
        account = self.accounts[which]
        ours = self.holdings()[account].quantity
        if ours == shares:
            return
        self.count += 1
        row = breaks.open_break(
            account_id=account,
            security_id=self.security.pk,
            kind=BreakKind.POSITION,
            source=f"recon:{self.count}",
            ours=ours,
            theirs=D(shares),
            note="",
        )
        breaks.close_break(
            break_id=row.pk,
            user_id=self.supervisor.pk,
            note="settled",
            now=datetime.combine(self.day, datetime.min.time(), UTC),
            adjustment=breaks.Adjustment(self.day, cost),
        )
        self.shares[account] = Fraction(shares)

    def apply(self, details):
        announce_action(
            firm_id=self.admin.firm_id,
            details=details,
            market_date=self.day,
            actor_id=self.admin.pk,
        )
        assert apply_actions(firm_id=self.admin.firm_id, on_date=self.day) == 1

    def holdings(self):
        return {row.account_id: row for row in models.Holding.objects.all()}

    @invariant()
    def three_agree(self):
        assert check_books(self.admin.firm_id) == []
        assert rebuilding.rebuild_totals(firm_id=self.admin.firm_id) == 0

    @invariant()
    def the_tally_agrees(self):
        balances = models.CashBalance.objects.values_list("account_id", "amount")
        assert dict(balances) == self.cash
        for account, row in self.holdings().items():
            # Every lot may lose less than one step of eight places in every event.
            assert abs(Fraction(row.quantity) - self.shares[account]) < Fraction(1, 100_000)

    @invariant()
    def cost_is_conserved(self):
        def total(rows, field):
            return rows.aggregate(total=Sum(field, default=D(0)))["total"]

        came = total(models.Lot.objects, "opened_cost")
        splits = models.LotAdjustment.objects.filter(entry__kind="SPLIT")
        assert total(splits, "cost") == 0
        changed = total(models.LotAdjustment.objects, "cost")
        left, went = total(models.Lot.objects, "cost"), total(models.Disposal.objects, "cost")
        assert came + changed == left + went


@pytest.mark.django_db
def test_no_order_of_events_parts_the_books():
    run_state_machine_as_test(
        BooksMachine,
        settings=settings(
            max_examples=25,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
