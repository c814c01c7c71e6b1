"""The year 2008, with its real prices and dividends, day by day through the whole road.

Needs the market data folder beside the checkout. Run with `-s` to see the figures of the year.
"""

import csv
import gzip
import sys
from collections import defaultdict
from datetime import UTC, date, datetime, time
from decimal import Decimal
from random import Random

import pytest
from django.db.models import Count, Sum

from accounts.domain.disclosures import DisclosureKind
from accounts.domain.roles import Role, TaxStatus
from accounts.models import Account
from accounts.operations import people as people_operations
from accounts.operations import risk
from portfolios.domain.lots import OpeningLot
from portfolios.domain.pricing import Quote
from portfolios.models import CashBalance, Disposal, Holding, JournalEntry
from portfolios.operations import books, models, prices, securities
from portfolios.operations.dividends import book_dividend
from portfolios.queries.books import check_books
from rebalancer import models as rows
from rebalancer.domain.lifecycle import CLOSED_ORDER, ProposalStatus
from rebalancer.management.demo_firm import TEMPERS
from rebalancer.operations import approvals, cycles, orders, policies
from rebalancer.queries.proof import check_orders
from robo.common.errors import Refused
from tests import people
from tests.market import DATA_DIR, needs_data

pytestmark = [
    pytest.mark.data,
    pytest.mark.django_db(transaction=True),
    needs_data,
]
D = Decimal
CLASSES = {
    "SPY": "US equity",
    "EFA": "International equity",
    "VWO": "Emerging markets",
    "VNQ": "Real estate",
    "AGG": "US bonds",
    "TLT": "Long US bonds",
    "GLD": "Gold",
}
MODELS = {
    "Balanced": "0.35 0.15 0.05 0.05 0.25 0.10 0.04",
    "Growth": "0.48 0.22 0.10 0.08 0.06 0.00 0.05",
}
ACCOUNT_COUNT = 12


def read_year(year: int) -> tuple[dict, dict]:
    """Return closes and dividends by day, as text, of the year and the last day before it."""
    closes, dividends = defaultdict(dict), defaultdict(dict)
    with gzip.open(DATA_DIR / "etf_daily.csv.gz", "rt") as lines:
        for row in csv.DictReader(lines):
            if row["ticker"] in CLASSES and row["date"][:7] in {
                f"{year - 1}-12",
                *(f"{year}-{month:02d}" for month in range(1, 13)),
            }:
                day = date.fromisoformat(row["date"])
                closes[day][row["ticker"]] = row["close"]
                if float(row["dividend"]) > 0:
                    dividends[day][row["ticker"]] = D(row["dividend"])
    days = sorted(closes)
    start = max(day for day in days if day.year == year - 1)
    return {day: closes[day] for day in days if day >= start}, dividends


def cost_of(quantity: Decimal, close: str, dice: Random) -> Decimal:
    return (quantity * D(close) * D(str(round(dice.uniform(0.6, 1.1), 3)))).quantize(D("0.01"))


def evening(day: date) -> datetime:
    return datetime.combine(day, time(23, 0), UTC)


def morning(day: date) -> datetime:
    """Return an instant shortly after the opening bell in New York, summer or winter."""
    return datetime.combine(day, time(15, 0), UTC)


class Year:
    """A firm on real prices, living one market day at a time."""

    def __init__(self, first_day: date, closes: dict[str, str]) -> None:
        self.firm = people.make_firm("Replay")
        self.admin, self.publisher = (people.make_user(self.firm, Role.ADMIN) for _ in range(2))
        self.advisor = people.make_user(self.firm)
        self.security_ids = {
            symbol: securities.create_security(
                firm_id=self.firm.pk,
                details=securities.SecurityDetails(
                    symbol=symbol,
                    name=symbol,
                    asset_class_id=securities.create_asset_class(
                        firm_id=self.firm.pk,
                        code=symbol.lower(),
                        name=name,
                        rank=rank,
                        actor_id=self.admin.pk,
                    ),
                    share_step=D(1),
                    half_spread_bps=D("1.5"),
                ),
                actor_id=self.admin.pk,
            )
            for rank, (symbol, name) in enumerate(CLASSES.items())
        }
        self.record(first_day, closes)
        self.policy_ids = [
            policies.save_policy(
                policy_id=None,
                firm_id=self.firm.pk,
                user_id=self.admin.pk,
                values={"name": schedule, "trigger": "COMBINED", "schedule": schedule, **terms},
            ).pk
            for schedule, terms in (
                ("MONTHLY", {"absolute_band": D("0.03")}),
                ("CRON", {"cron_line": "0 16 * * 5", "destination": "BAND_EDGE"}),
            )
        ]
        self.model_ids = [self.publish(name, text, first_day) for name, text in MODELS.items()]
        dice = Random(2008)
        self.texts = [
            people.publish_text(self.firm, kind, today=first_day) for kind in DisclosureKind
        ]
        self.account_ids = [
            self.open(number, first_day, closes, dice) for number in range(ACCOUNT_COUNT)
        ]

    def publish(self, name: str, text: str, day: date) -> int:
        weights = {
            self.security_ids[symbol]: D(weight)
            for symbol, weight in zip(CLASSES, text.split(), strict=True)
            if D(weight)
        }
        model_id = models.create_model(
            firm_id=self.firm.pk, name=name, description="", actor_id=self.admin.pk
        )
        version = models.save_draft(
            model_id=model_id,
            weights=weights,
            cash_weight=1 - sum(weights.values()),
            reason="replay",
            actor_id=self.admin.pk,
        )
        models.submit_for_review(version_id=version.pk, actor_id=self.admin.pk)
        models.publish_model(version_id=version.pk, now=evening(day), actor_id=self.publisher.pk)
        return model_id

    def open(self, number: int, day: date, closes: dict[str, str], dice: Random) -> int:
        household = people.make_household(self.firm, advisor=self.advisor)
        client = people.make_client(household)
        risk.answer_questionnaire(
            household_id=household.pk,
            answers=TEMPERS["calm"],
            actor_id=client.pk,
            now=evening(day),
        )
        people.agree(client, *self.texts)
        people_operations.set_tax_terms(
            household_id=household.pk,
            values={"short_term_rate": D("0.35"), "long_term_rate": D("0.15")},
            actor_id=self.admin.pk,
        )
        account_id = books.open_account(
            household_id=household.pk,
            name=f"Account {number}",
            number=f"{number:04d}",
            custodian="Replay",
            tax_status=list(TaxStatus)[number % 3],
            is_discretionary=True,
            opened_date=day,
            actor_id=self.admin.pk,
        )
        people.give_mandate(Account.objects.get(pk=account_id))
        value = dice.uniform(20_000, 900_000)
        weights = list(MODELS.values())[number % 2].split()
        books.book_opening(
            account_id=account_id,
            entry_date=day,
            source=f"opening:{account_id}",
            cash=D(str(round(value * 0.02, 2))),
            lots=[
                OpeningLot(
                    self.security_ids[symbol],
                    quantity,
                    cost_of(quantity, closes[symbol], dice),
                    day.replace(year=day.year - dice.randint(1, 5)),
                )
                for symbol, weight in zip(CLASSES, weights, strict=True)
                if (quantity := D(int(value * float(weight) * 0.98 / float(closes[symbol]))))
            ],
            actor_id=self.admin.pk,
        )
        models.assign_model(
            account_id=account_id, model_id=self.model_ids[number % 2], actor_id=self.admin.pk
        )
        policies.assign_policy(
            account_ids=[account_id],
            policy_id=self.policy_ids[number // 2 % 2],
            user_id=self.admin.pk,
        )
        return account_id

    def record(self, day: date, closes: dict[str, str]) -> None:
        report = prices.record_prices(
            firm_id=self.firm.pk,
            quotes=[Quote(symbol, day, text) for symbol, text in closes.items()],
            source="replay",
            now=evening(day),
            actor_id=self.admin.pk,
        )
        assert report.refused == ()

    def live(self, day: date, closes: dict[str, str], dividends: dict[str, Decimal]) -> None:
        # What was approved last evening goes to market when it opens.
        self.trade(day)
        now = evening(day)
        self.record(day, closes)
        for symbol, amount in dividends.items():
            book_dividend(
                security_id=self.security_ids[symbol],
                ex_date=day,
                amount_per_share=amount,
                currency="USD",
            )
        run = cycles.start_cycle(firm_id=self.firm.pk, user_id=self.admin.pk, price_date=day)
        cycles.run_cycle(cycle_run_id=run.pk, now=now)
        for proposal in rows.Proposal.objects.filter(status=ProposalStatus.PENDING):
            try:
                approvals.approve_proposal(
                    proposal_id=proposal.pk,
                    user_id=self.advisor.pk,
                    content_hash=proposal.content_hash,
                    note="",
                    now=now,
                )
            except Refused as refused:
                raise AssertionError(f"{day}: {refused}") from refused

    def trade(self, day: date) -> None:
        now = morning(day)
        while orders.submit_orders(now=now) + orders.poll_broker(now=now):
            pass
        orders.end_sessions(now=evening(day))


def test_a_year_of_real_prices_ends_with_books_that_check(settings, tmp_path, capsys):
    settings.PAPER_BROKER_PATH = tmp_path / "paper.sqlite3"
    closes, dividends = read_year(2008)
    first_day, *days = closes
    assert len(days) == 253
    year = Year(first_day, closes[first_day])
    for day in days:
        year.live(day, closes[day], dividends[day])
    year.trade(date(2009, 1, 2))

    assert check_books(year.firm.pk) == []
    assert check_orders(year.firm.pk) == []
    checks, proposals = rows.Check.objects, rows.Proposal.objects
    assert checks.filter(period_key="MONTHLY-2008-10").count() == ACCOUNT_COUNT / 2
    assert checks.filter(period_key__startswith="CRON").count() >= 51 * ACCOUNT_COUNT / 2
    assert not rows.Order.objects.exclude(status__in=CLOSED_ORDER).exists()
    assert not proposals.exclude(
        status__in=[ProposalStatus.COMPLETED, ProposalStatus.COMPLETED_ADJUSTED]
    ).exists()
    assert not CashBalance.objects.filter(amount__lt=0).exists()
    assert not Holding.objects.filter(quantity__lt=0).exists()
    # The crash of October makes every account that is looked at then breach at least once.
    assert checks.filter(is_breached=True).values("account").distinct().count() == ACCOUNT_COUNT
    to_target = proposals.filter(policy__destination="TARGET")
    assert to_target.exists()
    assert max(p.drift_after for p in to_target) < D("0.02")
    to_edge = proposals.filter(policy__destination="BAND_EDGE")
    for row in (row for proposal in to_edge for row in proposal.classes if not row["is_cash"]):
        # One whole share may stand out over the edge.
        assert D(row["low"]) - D("0.01") < D(row["after"]) < D(row["high"]) + D("0.01")

    totals = proposals.aggregate(
        turnover=Sum("turnover_amount"), cost=Sum("cost_amount"), tax=Sum("tax_amount")
    )
    with capsys.disabled():
        by_status = dict(checks.values_list("status").annotate(n=Count("id")).order_by("status"))
        gains = Disposal.objects.aggregate(gain=Sum("proceeds") - Sum("cost"))["gain"]
        sys.stdout.write(
            f"\n2008: {len(days)} sessions, {ACCOUNT_COUNT} accounts; checks {by_status}; "
            f"{proposals.count()} proposals, {rows.Order.objects.count()} orders, "
            f"{rows.Fill.objects.count()} fills, {JournalEntry.objects.count()} journal entries; "
            f"turnover {totals['turnover']:,}, spread paid {totals['cost']:,}, "
            f"realised gain {gains:,}, tax at the households' rates {totals['tax']:,}\n"
        )
