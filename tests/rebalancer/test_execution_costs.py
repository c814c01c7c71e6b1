"""What trading cost, as the pages, the files and the API say it; and what is learnt from it."""

import csv
import io
from datetime import date
from decimal import Decimal

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.domain.roles import Role
from accounts.models import AuditEntry
from rebalancer import models
from rebalancer.brokers.port import BrokerStatus
from rebalancer.domain.limits import Limits
from rebalancer.operations import orders
from rebalancer.operations.costs import calibrate_costs, calibrate_monthly
from rebalancer.queries.books import load_book
from rebalancer.queries.costs import get_measured_costs, list_blocks, measure_blocks, measure_orders
from rebalancer.queries.fairness import compare_accounts, list_shared, measure_shares
from rebalancer.queries.pages import execution as pages
from tests import people
from tests.rebalancer.browsing import browser, get, post, text_of
from tests.rebalancer.controls_world import give_limits
from tests.rebalancer.test_execution import list_sales, script, start
from tests.rebalancer.world import DAY, NOW

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["script"]
D = Decimal


@pytest.fixture(autouse=True)
def _market_time():
    with time_machine.travel(NOW, tick=False):
        yield


def sell(script, *sizes, price="99", share="1", start_world=start):
    """Return a world whose sale is over: a share of it filled at a price."""
    world = start_world(*sizes)
    [ticket] = script.tickets
    quantity = int(ticket.quantity * D(share))
    script.say(ticket.client_order_id, "F1", quantity, price)
    script.end(
        ticket.client_order_id,
        BrokerStatus.FILLED if quantity == ticket.quantity else BrokerStatus.CANCELLED,
    )
    orders.poll_broker(now=NOW)
    return world


def get_cost(world, side="SELL"):
    [cost] = measure_blocks(list_blocks(firm_id=world.firm.pk).filter(side=side))
    return cost


def read_csv(response):
    rows = list(csv.reader(io.StringIO(response.content.decode().lstrip("\ufeff"))))
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


# --- Shortfall ------------------------------------------------------------------------------


def test_a_sale_below_its_arrival_price_cost_the_difference(script):
    world = sell(script, 80, 120)
    cost = get_cost(world)
    quantity = cost.block.quantity
    # Decided at 100, arrived at 100, sold at 99: a hundredth.
    assert (cost.decision_price, cost.block.arrival_price, cost.average_price) == (100, 100, 99)
    assert cost.shortfall.trading == quantity == cost.shortfall.total
    assert cost.shortfall.delay == cost.shortfall.missed == 0
    assert cost.trading_bps == 100
    # The parts of its orders are the whole of the block.
    parts = measure_orders(
        models.Order.objects.filter(side="SELL").select_related("block", "trade", "security")
    )
    assert sum(part.trading for _order, part in parts) == cost.shortfall.trading
    assert sum(part.decided_value for _order, part in parts) == cost.shortfall.decided_value


def test_what_did_not_fill_is_valued_at_the_close(script):
    world = sell(script, 80, share="0.5")
    # The day's close, a dollar below what the sale was decided at.
    from portfolios.models import Price

    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE portfolios_price DISABLE TRIGGER USER")
    Price.objects.filter(security__symbol="USTM", price_date=DAY).update(price=D(97))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE portfolios_price ENABLE TRIGGER USER")
    cost = get_cost(world)
    left = cost.block.quantity - cost.block.filled_quantity
    assert left > 0
    assert cost.shortfall.missed == 3 * left
    assert cost.shortfall.total == 3 * left + cost.block.filled_quantity
    assert cost.has_close


def test_blocks_taken_apart_and_blocks_at_work_cost_nothing_yet(script):
    world = start(80)
    assert not list_blocks(firm_id=world.firm.pk).exists()
    models.Block.objects.update(is_dissolved=True)
    assert not list_blocks(firm_id=world.firm.pk).exists()


def test_costs_of_another_firm_are_not_seen(script):
    sell(script, 80)
    stranger = people.make_user(people.make_firm(), Role.ADMIN)
    assert "USTM" not in text_of(get(stranger, "execution"))
    assert read_csv(get(stranger, "export_execution", month="2026-11")) == []
    assert browser(stranger).get("/api/v1/execution-costs/").json()["results"] == []


# --- Pages, files, API ------------------------------------------------------------------------


def test_the_page_says_what_trading_cost_and_why_a_block_went_whole(script):
    world = sell(script, 80, 120)
    page = text_of(get(world.advisor, "execution"))
    assert "limits spread no block" in page
    assert "100.0" in page
    assert "2026-11" in page
    assert "Estimate now" not in page
    assert "Estimate now" in text_of(get(world.admin, "execution"))
    [row] = read_csv(get(world.advisor, "export_execution"))
    assert row["Symbol"] == "USTM"
    assert D(row["Realised in bps"]) == D(row["Total in bps"]) == 100
    assert row["Spread and impact"] == row["Total"]
    rows = read_csv(get(world.advisor, "export_order_costs"))
    assert {r["Our id"] for r in rows} == {order.client_order_id for order in list_sales()}
    assert get(world.advisor, "execution", month="2025-01").status_code == 200
    assert "No block in this month" in text_of(get(world.advisor, "execution", month="2025-01"))


def test_the_page_shows_what_is_under_way_with_its_slices(script):
    from tests.rebalancer.test_cutting import begin

    world = begin()
    orders.submit_orders(now=NOW)
    page = text_of(get(world.advisor, "execution"))
    slices = models.Slice.objects.filter(block__side="SELL").count()
    assert f"0 of {slices}" in page
    assert "spread evenly in time" in page
    assert "All are sent" in page
    assert "spread evenly in time" in text_of(get(world.advisor, "orders"))


@pytest.mark.parametrize("month", ["nonsense", "2026-13", "0000-00", "9999-12", "0001-01", "2026"])
@pytest.mark.parametrize("name", ["execution", "fairness", "export_execution", "export_fairness"])
def test_any_month_is_answered(script, name, month):
    world = start(80)
    assert get(world.advisor, name, month=month).status_code == 200


def test_the_order_file_holds_only_what_the_reader_may_see(script):
    world = sell(script, 80)
    unassigned = people.make_user(world.firm)
    assert read_csv(get(unassigned, "export_order_costs")) == []
    assert len(read_csv(get(world.colleague, "export_order_costs"))) == 1


def test_the_api_lists_blocks_with_their_shortfall(script):
    world = sell(script, 80, 120)
    client = browser(world.advisor)
    answer = client.get("/api/v1/execution-costs/").json()
    [row] = answer["results"]
    assert (row["symbol"], row["side"], row["strategy"]) == ("USTM", "SELL", "AT_ONCE")
    assert (row["trading_bps"], row["average_price"]) == ("100.0000", "99.000000")
    assert D(row["total_amount"]) == D(row["filled_quantity"])
    for query, count in (
        ("symbol=ustm", 1),
        ("symbol=BOND", 0),
        ("since=2026-11-20&until=2026-11-20", 1),
        ("since=2026-11-21", 0),
    ):
        assert client.get(f"/api/v1/execution-costs/?{query}").json()["count"] == count
    assert client.get("/api/v1/execution-costs/?since=soon").status_code == 400
    assert browser(people.make_client(world.household)).get(
        "/api/v1/execution-costs/"
    ).status_code in (403, 404)


@pytest.mark.parametrize("name", ["execution", "fairness"])
def test_more_blocks_take_no_more_queries(script, name):
    def count(world):
        client = browser(world.advisor)
        from django.urls import reverse

        client.get(reverse(f"rebalancer:{name}"))
        with CaptureQueriesContext(connection) as captured:
            client.get(reverse(f"rebalancer:{name}"))
        return len(captured.captured_queries)

    from rebalancer.brokers.port import Abilities

    script.abilities = Abilities(has_blocks=False)

    def run(*sizes):
        script.tickets.clear()
        world = start(*sizes)
        for ticket in list(script.tickets):
            script.say(
                ticket.client_order_id,
                f"F{ticket.client_order_id}",
                ticket.quantity,
                status=BrokerStatus.FILLED,
            )
        orders.poll_broker(now=NOW)
        return world

    assert count(run(80)) == count(run(80, 90, 100, 110, 120))


# --- Fairness -------------------------------------------------------------------------------


def test_blocks_are_shared_out_fairly_and_the_page_says_so(script):
    world = sell(script, 80, 120, 200, share="0.5")
    [found] = measure_shares(list_shared(firm_id=world.firm.pk))
    assert found.order_count == 3
    assert found.fairness.is_fair
    assert found.fairness.steps_off_max < 1
    # Sold at 99 and worth 100 at the close.
    assert found.first_day_return == 1 - D(100) / D(99)
    test = compare_accounts(firm_id=world.firm.pk, since=DAY, until=DAY)
    assert (test.sample_count, test.account_count, test.p_value) == (3, 3, 1.0)
    page = text_of(get(world.advisor, "fairness"))
    assert "Alike" in page
    assert "Nothing found" in page
    [row] = read_csv(get(world.advisor, "export_fairness"))
    assert (row["Accounts"], row["Fair"]) == ("3", "yes")


def test_a_favoured_account_is_found(script):
    world = sell(script, 80, 120)
    first, second = list_sales()
    # Somebody gave one client's shares to the other, past all triggers.
    models.Order.objects.filter(pk=first.pk).update(filled_quantity=0, filled_amount=0)
    [found] = measure_shares(list_shared(firm_id=world.firm.pk))
    assert not found.fairness.is_fair
    page = text_of(get(world.advisor, "fairness"))
    assert "Not alike" in page
    assert "Not pro rata" in page
    assert second.filled_quantity


# --- Learning ---------------------------------------------------------------------------------


def estimate(world, day=DAY, **facts):
    return models.CostEstimate.objects.create(
        **{
            "firm_id": world.firm.pk,
            "security_id": world.security_ids["USTM"],
            "as_of_date": day,
            "half_spread_bps": D(7),
            "impact_coefficient": D("1.5"),
            "spread_sample_count": 20,
            "impact_sample_count": 0,
            **facts,
        }
    )


def test_executions_are_learnt_from_once_a_month_and_on_demand(script):
    world = sell(script, 80)
    assert calibrate_monthly(firm_id=world.firm.pk, as_of_date=DAY) == 1
    row = models.CostEstimate.objects.get()
    # One sample of 100 bps, ten of the 2 bps that are stated.
    assert row.half_spread_bps == D("10.909")
    assert (row.spread_sample_count, row.impact_sample_count) == (1, 0)
    assert calibrate_monthly(firm_id=world.firm.pk, as_of_date=DAY) == 0
    assert calibrate_costs(firm_id=world.firm.pk, as_of_date=DAY) == 0
    entry = AuditEntry.objects.get(action="rebalancer.costs.estimated")
    assert entry.detail == {"USTM": ["10.909", "1.0000"]}
    assert calibrate_monthly(firm_id=world.firm.pk, as_of_date=date(2026, 12, 1)) == 1


def test_an_administrator_estimates_on_the_page(script):
    world = sell(script, 80)
    assert post(world.advisor, "calibrate_costs").status_code in (403, 404)
    assert post(world.admin, "calibrate_costs").status_code == 302
    assert models.CostEstimate.objects.count() == 1
    page = text_of(get(world.admin, "execution"))
    assert "10.91" in page
    assert "the firm's own figures" in page


def test_plans_reckon_with_measured_costs_only_where_the_firm_says_so(script):
    world = start(80)
    estimate(world)
    firm_id = world.firm.pk
    measured = Limits(cost_source="MEASURED")
    assert get_measured_costs(firm_id=firm_id, limits=Limits()) == {}
    [(security_id, cost)] = get_measured_costs(firm_id=firm_id, limits=measured).items()
    assert (security_id, cost.half_spread_bps) == (world.security_ids["USTM"], 7)

    def spread():
        book = load_book(firm_id=firm_id, account_ids=[world.accounts[0].pk], price_date=DAY)
        return {row.symbol: row.half_spread_bps for row in book.securities}["USTM"]

    assert spread() == 2
    give_limits(world, cost_source="MEASURED")
    assert spread() == 7
    # A newer estimate from too few executions is not believed.
    estimate(world, date(2026, 12, 1), spread_sample_count=19)
    assert spread() == 2


def test_a_block_expects_what_was_measured(script):
    from tests.rebalancer.test_cutting import begin, get_block

    world = begin(volatility=None, cost_source="MEASURED", before=estimate)
    orders.submit_orders(now=NOW)
    assert get_block(world).expected_cost_bps == 7


def test_new_estimates_are_a_change_of_facts_to_what_was_approved_before(script):
    from tests.rebalancer.test_cutting import begin

    world = begin(cost_source="MEASURED")
    estimate(world)
    orders.submit_orders(now=NOW)
    assert not models.Block.objects.filter(firm=world.firm).exists()
    assert "never sent" in models.Proposal.objects.get(firm=world.firm).close_reason


def test_months_reach_over_the_turn_of_the_year():
    month = pages.read_month("2026-01")
    assert (month.first, month.last) == (date(2026, 1, 1), date(2026, 1, 31))
    assert [m.code for m in pages.list_months(month, 3)] == ["2026-01", "2025-12", "2025-11"]
    assert pages.read_month("2024-02").last == date(2024, 2, 29)
