"""Conflicts by hand, of one, two, three and more wishes, and against the solver on random ones."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from rebalancer.engine.conflicts import WishKind, WishRow, describe_conflict, find_conflict
from rebalancer.engine.coupled.solve import Coupling, no_coupling, solve_coupled
from rebalancer.engine.problem import Problem
from tests.rebalancer.engine.random_coupled import HouseholdShape, build_household

CASH = WishRow(WishKind.CASH_NEED, "Joint account", 0, -1, 7000.0)


def build_two_accounts() -> tuple[Problem, Coupling]:
    """Return two accounts: 1,000 cash, 6,000 ACME (gains) and 3,000 BETA; 500 cash, 2,000 ACME.

    Positions 0 ACME and 1 BETA are in account 0, position 2 ACME in account 1. Selling is free.
    """
    held = np.array([6000.0, 3000.0, 2000.0])
    problem = Problem(
        household_offsets=np.array([0, 2]),
        value=np.array([10000.0, 2500.0]),
        cash=np.array([1000.0, 500.0]),
        cash_min=np.zeros(2),
        cash_target=np.zeros(2),
        cash_penalty=np.zeros(2),
        ticket_price=np.zeros(2),
        short_rate=np.array([0.35, 0.0]),
        long_rate=np.array([0.15, 0.0]),
        position_offsets=np.array([0, 2, 3]),
        group_offsets=np.zeros(3, dtype=np.int64),
        group_target=np.zeros(0),
        group_penalty=np.zeros(0),
        security=np.array([0, 1, 0]),
        group=np.full(3, -1),
        held=held,
        target=held.copy(),
        penalty=np.ones(3),
        buy_cost=np.zeros(3),
        sell_cost=np.zeros(3),
        ticket_cash=np.zeros(3),
        impact=np.zeros(3),
        smallest=np.zeros(3),
        step=np.full(3, 0.01),
        buy_max=np.full(3, np.inf),
        segment_offsets=np.array([0, 2, 3, 4]),
        lot=np.arange(4),
        amount=np.array([2000.0, 4000.0, 3000.0, 2000.0]),
        gain=np.array([0.1, 0.5, -0.1, 0.0]),
        is_long=np.ones(4, dtype=bool),
        waiting=np.zeros(4),
    )
    coupling = replace(
        no_coupling(problem),
        cap_offsets=np.array([0, 2]),
        cap_position=np.array([0, 2]),
        cap_max=np.array([5000.0]),
        cap_labels=("ACME",),
    )
    return problem, coupling


def never_sell(position, label):
    return WishRow(WishKind.NEVER_SELL, label, 0, position)


def test_wishes_that_can_be_met_are_no_conflict():
    problem, coupling = build_two_accounts()
    wishes = [
        CASH,
        WishRow(WishKind.CAP, "ACME", -1, 0, 5000.0),
        WishRow(WishKind.NEVER_BUY, "BETA", 0, 1),
        WishRow(WishKind.TURNOVER, "Joint account", 0, -1, 6000.0),
        WishRow(WishKind.HOLD_LOTS, "ACME", 1, 2, 2000.0),
    ]
    assert find_conflict(problem, coupling, wishes) == ()
    assert find_conflict(problem, coupling, []) == ()
    assert describe_conflict(()) == "All wishes can be met."


def test_one_wish_alone_can_be_impossible():
    problem, coupling = build_two_accounts()
    too_much = WishRow(WishKind.CASH_NEED, "Joint account", 0, -1, 10001.0)
    wishes = [never_sell(0, "ACME"), CASH, too_much]
    assert find_conflict(problem, coupling, wishes) == (too_much,)
    assert (
        describe_conflict((too_much,))
        == "This wish cannot be met: Joint account needs 10,001.00 in cash."
    )


def test_two_wishes_against_each_other():
    problem, coupling = build_two_accounts()
    wishes = [
        WishRow(WishKind.TURNOVER, "Joint account", 0, -1, 9000.0),
        CASH,
        never_sell(1, "BETA"),
        never_sell(0, "ACME"),
    ]
    conflict = find_conflict(problem, coupling, wishes)
    assert conflict == (CASH, wishes[3])  # 1,000 cash and 3,000 of BETA are not 7,000
    assert describe_conflict(conflict) == (
        "These wishes cannot all be met: Joint account needs 7,000.00 in cash; "
        "and ACME is never to be sold."
    )


def test_three_wishes_of_which_any_two_can_be_met():
    problem, coupling = build_two_accounts()
    need = WishRow(WishKind.CASH_NEED, "Joint account", 0, -1, 5000.0)
    gains = WishRow(WishKind.GAINS, "The household", -1, -1, 250.0)
    wishes = [need, WishRow(WishKind.NEVER_BUY, "ACME", 0, 0), never_sell(1, "BETA"), gains]
    # 4,000 of ACME cost 200 + 1,000 of gains; 2,000 of ACME and 2,000 of BETA cost none.
    assert find_conflict(problem, coupling, wishes) == (need, wishes[2], gains)


def test_four_wishes_are_reduced_to_an_irreducible_set():
    problem, coupling = build_two_accounts()
    wishes = [
        WishRow(WishKind.CASH_NEED, "Joint account", 0, -1, 9000.0),
        WishRow(WishKind.HOLD_LOTS, "ACME", 0, 0, 600.0),
        WishRow(WishKind.HOLD_LOTS, "BETA", 0, 1, 600.0),
        WishRow(WishKind.NEVER_BUY, "BETA", 0, 1),
    ]
    conflict = find_conflict(problem, coupling, wishes)
    assert conflict == tuple(wishes[:3])


def test_caps_and_leaving_conflict_with_what_may_not_be_sold():
    problem, coupling = build_two_accounts()
    cap = WishRow(WishKind.CAP, "ACME", -1, 0, 5000.0)
    locked = never_sell(0, "ACME in Joint account")
    assert find_conflict(problem, coupling, [cap, locked]) == (cap, locked)
    leave = WishRow(WishKind.MUST_LEAVE, "BETA", 0, 1)
    kept = WishRow(WishKind.HOLD_LOTS, "BETA", 0, 1, 500.0)
    assert find_conflict(problem, coupling, [cap, leave, kept]) == (leave, kept)
    limit = WishRow(WishKind.TURNOVER, "Joint account", 0, -1, 2999.0)
    assert find_conflict(problem, coupling, [leave, limit]) == (leave, limit)


def test_ties_go_to_the_order_given():
    problem, coupling = build_two_accounts()
    leave = WishRow(WishKind.MUST_LEAVE, "BETA", 0, 1)
    kept = WishRow(WishKind.HOLD_LOTS, "BETA", 0, 1, 500.0)
    locked = never_sell(1, "BETA")
    assert find_conflict(problem, coupling, [locked, leave, kept]) == (locked, leave)
    assert find_conflict(problem, coupling, [kept, leave, locked]) == (kept, leave)


@pytest.mark.parametrize(
    "wish",
    [
        WishRow(WishKind.CAP, "no such cap", -1, 1, 0.0),
        WishRow(WishKind.NEVER_SELL, "no such position", 0, 3),
        WishRow(WishKind.CASH_NEED, "no such account", 2, -1, 1.0),
    ],
)
def test_a_wish_for_what_does_not_exist_is_an_error(wish):
    problem, coupling = build_two_accounts()
    with pytest.raises(IndexError, match="a wish names"):
        find_conflict(problem, coupling, [wish])


def list_wishes(problem, coupling):
    wishes = [
        WishRow(WishKind.CASH_NEED, f"account {a}", a, -1, float(problem.cash_min[a]))
        for a in range(problem.account_count)
    ]
    wishes += [
        WishRow(WishKind.TURNOVER, f"account {a}", a, -1, float(limit))
        for a, limit in enumerate(coupling.turnover_max)
    ]
    wishes += [
        WishRow(WishKind.CAP, coupling.cap_labels[c], -1, c, float(limit))
        for c, limit in enumerate(coupling.cap_max)
    ]
    return [*wishes, WishRow(WishKind.GAINS, "household", -1, -1, float(coupling.gains_max))]


def test_random_households_are_solved_or_have_a_conflict_that_is_smallest():
    solved, conflicts = 0, 0
    for seed in range(20):
        shape = HouseholdShape(
            accounts=3, securities=6, lots=2, cap=0.03, turnover=0.12, gains=0.0, flow=0.06
        )
        problem, coupling = build_household(np.random.default_rng(seed), shape)
        solution = solve_coupled(problem, coupling)
        wishes = list_wishes(problem, coupling)
        conflict = find_conflict(problem, coupling, wishes)
        if solution.status == "INFEASIBLE":
            conflicts += 1
            assert conflict
            for size in range(1, len(conflict)):
                for fewer in combinations(conflict, size):
                    assert find_conflict(problem, coupling, fewer) == ()
        else:
            solved += 1
            assert conflict == ()
    assert solved >= 5
    assert conflicts >= 5
