"""What the Book is told of policies and of risk: every term, caps by name, covariance."""

import math
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portfolios import models as facts
from portfolios.queries.market import load_covariance
from rebalancer.domain.kinds import CapKind, DriftMeasure, Trigger
from rebalancer.domain.policy import CapTerms
from rebalancer.operations import policies
from rebalancer.queries.books import load_book
from robo.common.errors import Refused
from robo.common.market_calendar import list_sessions
from tests.rebalancer.world import DAY, make_world

pytestmark = pytest.mark.django_db
D = Decimal
OLD = date(2020, 1, 2)


@pytest.fixture
def world():
    return make_world()


def load(world, *accounts):
    return load_book(
        firm_id=world.firm.pk, account_ids=[account.pk for account in accounts], price_date=DAY
    )


# --- Policies -----------------------------------------------------------------------------------


def test_every_term_of_a_policy_reaches_the_book():
    values = {
        "trigger": "ECONOMIC",
        "willingness": D("0.025"),
        "drift_measure": "RISK",
        "hurdle_bps": D("1.5"),
        "turnover_max": D("0.2"),
        "harvests_losses": True,
        "transition_years": 3,
        "transition_start_year": 2026,
        "lot_method": "HIFO",
        "caps": [
            {"kind": "ASSET_CLASS", "name": "us EQUITY", "max_weight": "0.6"},
            {"kind": "SECURITY", "name": "BOND", "max_weight": "0.45"},
        ],
    }
    world = make_world(**values)
    [terms] = load(world, world.add_account("100")).policies
    assert (terms.trigger, terms.drift_measure) == (Trigger.ECONOMIC, DriftMeasure.RISK)
    assert (terms.willingness, terms.turnover_max) == (D("0.025"), D("0.2"))
    assert (terms.transition_years, terms.transition_start_year) == (3, 2026)
    assert terms.harvests_losses
    assert terms.caps == (
        CapTerms(CapKind.ASSET_CLASS, "US equity", D("0.6")),
        CapTerms(CapKind.SECURITY, "BOND", D("0.45")),
    )


def test_a_policy_that_says_nothing_of_them_is_as_strict_as_before(world):
    [terms] = load(world, world.add_account("100")).policies
    assert (terms.willingness, terms.harvests_losses, terms.ticket_price) == (D(5), False, 0)
    assert (terms.caps, terms.turnover_max) == ((), None)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"caps": "class"}, "list"),
        ({"caps": [{"kind": "ASSET_CLASS", "name": "US equity"}]}, "a kind, a name"),
        ({"caps": [{"kind": "COLOUR", "name": "red", "max_weight": "1"}]}, "no caps on a COLOUR"),
        ({"caps": [{"kind": "SECTOR", "name": "Oil", "max_weight": "1"}]}, "sector “Oil”"),
        ({"caps": [{"kind": "SECURITY", "name": "BOND", "max_weight": "1.1"}]}, "between 0 and 1"),
        ({"caps": [{"kind": "SECURITY", "name": "BOND", "max_weight": "NaN"}]}, "between 0 and 1"),
        ({"caps": [{"kind": "SECURITY", "name": "BOND", "max_weight": "1"}] * 2}, "two caps"),
        ({"lot_method": "SPECIFIED"}, "one sale only"),
        ({"transition_years": 2}, "which year"),
        ({"willingness": D(0)}, "policy_prices_of_drift_positive"),
        ({"harvest_drift_max": D("1.5")}, "policy_shares_are_fractions"),
        ({"drift_measure": "COLOUR"}, "not a valid choice"),
    ],
)
def test_terms_that_make_no_sense_are_refused(world, values, said):
    with pytest.raises(Refused, match=said):
        policies.save_policy(
            policy_id=world.policy.pk,
            firm_id=world.firm.pk,
            user_id=world.admin.pk,
            values=values,
        )


# --- Covariance ---------------------------------------------------------------------------------


def record_history(world, symbol, count, moves):
    """Put closes on record for `count` sessions up to `DAY`, moving as `moves` says, in turn."""
    days = [day for day in list_sessions("XNYS") if day < DAY][-count:]
    price, rows = D(100), []
    for number, day in enumerate(days):
        price *= 1 + D(moves[number % len(moves)])
        rows.append(
            facts.Price(
                security_id=world.security_ids[symbol],
                price_date=day,
                price=price.quantize(D("0.000001")),
                source="test",
            )
        )
    facts.Price.objects.bulk_create(rows)


UP_DOWN, DOWN_UP = ("0.01", "-0.01", "0.02", "-0.02"), ("-0.01", "0.01", "-0.02", "0.02")


def test_covariance_is_loaded_only_where_a_policy_asks_for_it(world):
    assert load(world, world.add_account("100")).covariance is None
    asking = make_world(trigger="RISK")
    record_history(asking, "USTM", 120, UP_DOWN)
    record_history(asking, "BOND", 120, DOWN_UP)
    book = load(asking, asking.add_account("100"))
    at = {symbol: book.index_of_security[key] for symbol, key in asking.security_ids.items()}
    matrix = book.covariance
    assert matrix[at["USTM"], at["USTM"]] > 0.01
    assert matrix[at["USTM"], at["BOND"]] < -0.01
    assert math.isnan(matrix[at["INTL"], at["INTL"]]), "neither history nor a stated volatility"
    assert matrix[at["INTL"], at["BOND"]] == 0
    assert matrix[at["USLC"], at["USLC"]] == 0, "not held, not wanted"


def test_with_too_little_history_a_security_keeps_its_stated_volatility(world):
    ids = world.security_ids
    record_history(world, "USTM", 29, UP_DOWN)
    record_history(world, "BOND", 60, UP_DOWN)
    stated = {ids["USTM"]: D("0.2"), ids["BOND"]: D("0.3"), ids["INTL"]: None}
    matrix = load_covariance(volatilities=stated, price_date=DAY - timedelta(days=1))
    assert matrix[ids["USTM"], ids["USTM"]] == pytest.approx(0.04)
    assert matrix[ids["BOND"], ids["BOND"]] != pytest.approx(0.09), "estimated from its history"
    assert (ids["USTM"], ids["BOND"]) not in matrix
    assert math.isnan(matrix[ids["INTL"], ids["INTL"]])


def test_covariance_takes_no_more_queries_for_more_accounts():
    world = make_world(drift_measure="RISK")
    accounts = [world.add_account("100", lots=[("USTM", "5", "900", OLD)]) for _ in range(5)]

    def count(*chosen):
        with CaptureQueriesContext(connection) as captured:
            load(world, *chosen)
        return len(captured)

    assert count(*accounts) == count(accounts[0])
