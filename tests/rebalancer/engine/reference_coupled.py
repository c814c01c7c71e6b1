"""Slow, independent references for the coupled path: SCIP on the whole problem, and a checker.

Both are written from the formulation in `problem.py` and `coupled_terms.py`, and share no code with
the solver.
"""

from dataclasses import replace

import numpy as np
import pyscipopt

from rebalancer.engine.columns import Floats
from rebalancer.engine.coupled.solve import CoupledSolution, Coupling
from rebalancer.engine.problem import Problem


def solve_household_with_scip(
    problem: Problem, coupling: Coupling, *, seconds: float = 20.0
) -> tuple[float, float]:
    """Return the best objective that SCIP finds (inf: none) and its bound (inf: infeasible).

    SCIP sees basis points of the household's value, a range in which its tolerances are small.
    Market impact is not modelled.
    """
    unit = float(problem.value.sum()) / 1e4
    problem, coupling = scale_household(problem, coupling, 1 / unit)
    model = pyscipopt.Model()
    model.hideOutput()
    model.setParam("limits/time", seconds)
    model.setParam("numerics/feastol", 1e-7)
    model.setParam("limits/gap", 1e-7)
    total, bought, sold, sales = _add_accounts(model, problem, coupling)
    trade = [b - s for b, s in zip(bought, sold, strict=True)]
    _add_rows(model, total, problem, coupling, trade)
    _add_limits(model, problem, coupling, bought, sold, sales)
    drift = model.addVar(lb=0)
    model.addCons(drift >= total[1])
    model.setObjective(total[0] + drift)
    model.optimize()
    best = model.getObjVal() if model.getNSols() else np.inf
    bound = np.inf if model.getStatus() == "infeasible" else model.getDualbound()
    return best * unit, bound * unit


def scale_household(
    problem: Problem, coupling: Coupling, factor: float
) -> tuple[Problem, Coupling]:
    """Return the same household in another unit of money: every amount times `factor`."""
    amounts = ["value", "cash", "cash_min", "cash_target", "ticket_price", "group_target", "held"]
    amounts += ["target", "ticket_cash", "smallest", "step", "buy_max", "amount"]
    limits = ["row_target", "cap_max", "turnover_max", "gains_max"]
    return (
        replace(
            problem,
            **{name: getattr(problem, name) * factor for name in amounts},
            impact=problem.impact / np.sqrt(factor),
        ),
        replace(coupling, **{name: getattr(coupling, name) * factor for name in limits}),
    )


def _add_accounts(model, problem: Problem, coupling: Coupling):
    """Add trades, cash and the accounts' own costs; totals are [linear, quadratic]."""
    total, bought, sold, sales = [0.0, 0.0], [], [], []
    tau = problem.tau()
    for account in range(problem.account_count):
        cash, value = float(problem.cash[account]), float(problem.value[account])
        room = cash + problem.held.sum()
        for i in range(*problem.position_offsets[account : account + 2]):
            pieces = range(*problem.segment_offsets[i : i + 2])
            most = float(problem.amount[pieces.start : pieces.stop].sum())
            step, held = float(problem.step[i]), float(problem.held[i])
            is_buy, is_sale, is_exit = (model.addVar(vtype="B") for _ in range(3))
            buy_steps = model.addVar(vtype="I", lb=0)
            sale_steps = model.addVar(vtype="I", lb=0)
            b, s = model.addVar(lb=0), model.addVar(lb=0)
            model.addCons(b == step * buy_steps)
            model.addCons(s == step * sale_steps + held * is_exit)
            model.addCons(step * sale_steps <= max(most, step) * (1 - is_exit))
            model.addCons(is_exit <= is_sale)
            model.addCons(is_buy + is_sale <= 1)
            model.addCons(b <= min(float(problem.buy_max[i]), room) * is_buy)
            model.addCons(s <= most * is_sale)
            model.addCons(b >= float(problem.smallest[i]) * is_buy)
            model.addCons(s >= float(problem.smallest[i]) * (is_sale - is_exit))
            parts = [model.addVar(lb=0, ub=float(problem.amount[k])) for k in pieces]
            model.addCons(sum(parts) == s)
            x = held + b - s
            total[0] += sum(float(tau[k]) * part for k, part in zip(pieces, parts, strict=True))
            total[0] += float(problem.buy_cost[i]) * b + float(problem.sell_cost[i]) * s
            ticket = float(problem.ticket_cash[i])
            total[0] += (ticket + float(problem.ticket_price[account])) * (is_buy + is_sale)
            total[0] += float(coupling.holding_cost[i]) * x
            away = x - float(problem.target[i])
            total[1] += float(problem.penalty[i]) / (2 * value) * away * away
            cash = cash - b * (1 + float(problem.buy_cost[i]))
            cash = cash + s * (1 - float(problem.sell_cost[i])) - ticket * (is_buy + is_sale)
            bought.append(b)
            sold.append(s)
            sales.extend(parts)
        after = model.addVar(lb=float(problem.cash_min[account]), ub=None)
        model.addCons(after == cash)
        away = after - float(problem.cash_target[account])
        total[1] += float(problem.cash_penalty[account]) / (2 * value) * away * away
    return total, bought, sold, sales


def _add_rows(model, total, problem: Problem, coupling: Coupling, trade) -> None:
    """Add the quadratic rows of the household and of each account's groups."""
    household = float(problem.value.sum())
    for row, target in enumerate(coupling.row_target):
        members = coupling.row_position[slice(*coupling.row_offsets[row : row + 2])]
        away = model.addVar(lb=None)
        model.addCons(away == sum(float(problem.held[i]) + trade[i] for i in members) - target)
        total[1] += float(coupling.row_penalty[row]) / (2 * household) * away * away
    of_group = np.repeat(problem.value, np.diff(problem.group_offsets))
    for group, target in enumerate(problem.group_target):
        members = np.flatnonzero(problem.group == group)
        away = model.addVar(lb=None)
        model.addCons(away == sum(float(problem.held[i]) + trade[i] for i in members) - target)
        total[1] += float(problem.group_penalty[group] / (2 * of_group[group])) * away * away


def _add_limits(model, problem: Problem, coupling: Coupling, bought, sold, sales) -> None:
    """Add caps, wash windows, turnover limits and the gains budget."""
    for row, limit in enumerate(coupling.cap_max):
        members = coupling.cap_position[slice(*coupling.cap_offsets[row : row + 2])]
        held = float(problem.held[members].sum())
        if len(members):
            model.addCons(sum(bought[i] - sold[i] for i in members) <= float(limit) - held)
    most = float(np.abs(problem.cash).sum() + problem.held.sum())
    for window in range(len(coupling.wash_labels)):
        is_sold = model.addVar(vtype="B")
        for k in coupling.wash_segment[slice(*coupling.wash_segment_offsets[window:][:2])]:
            model.addCons(sales[k] <= float(problem.amount[k]) * is_sold)
        for i in coupling.wash_position[slice(*coupling.wash_position_offsets[window:][:2])]:
            model.addCons(bought[i] <= most * (1 - is_sold))
    for account, limit in enumerate(coupling.turnover_max):
        members = range(*problem.position_offsets[account : account + 2])
        if np.isfinite(limit):
            model.addCons(sum(bought[i] + sold[i] for i in members) <= float(limit))
    if np.isfinite(coupling.gains_max):
        taxed = [float(g) * s for g, s in zip(problem.gain, sales, strict=True) if g]
        if taxed:
            model.addCons(sum(taxed) <= coupling.gains_max)


def list_faults(
    problem: Problem, coupling: Coupling, solution: CoupledSolution, slack: float = 1e-6
) -> list[str]:
    """Return every rule that a plan breaks, in words; it must be none."""
    trade, sold = solution.trade, solution.sold
    faults = []
    for i in range(len(trade)):
        pieces = slice(*problem.segment_offsets[i : i + 2])
        if abs(sold[pieces].sum() - max(-trade[i], 0.0)) > slack:
            faults.append(f"position {i}: the lots sold are not what is sold")
        if trade[i] > problem.buy_max[i] + slack:
            faults.append(f"position {i}: bought beyond what may be")
        if trade[i] and not solution.is_exit[i]:
            if abs(abs(trade[i]) - abs(solution.steps[i]) * problem.step[i]) > slack:
                faults.append(f"position {i}: not a whole number of steps")
            if abs(trade[i]) < problem.smallest[i] - slack:
                faults.append(f"position {i}: too small a trade")
        if solution.is_exit[i] and abs(trade[i] + problem.held[i]) > slack:
            faults.append(f"position {i}: an exit that leaves something")
    if (sold < -slack).any() or (sold > problem.amount + slack).any():
        faults.append("a lot is sold beyond its amount")
    return faults + _list_household_faults(problem, coupling, trade, sold, slack)


def _list_household_faults(
    problem: Problem, coupling: Coupling, trade: Floats, sold: Floats, slack: float
) -> list[str]:
    faults = []
    for account in range(problem.account_count):
        members = slice(*problem.position_offsets[account : account + 2])
        cash = float(problem.cash[account])
        for d, k_buy, k_sell, ticket in zip(
            trade[members],
            problem.buy_cost[members],
            problem.sell_cost[members],
            problem.ticket_cash[members],
            strict=True,
        ):
            cash -= d * (1 + k_buy) if d > 0 else d * (1 - k_sell)
            cash -= ticket if d else 0.0
        if cash < problem.cash_min[account] - slack:
            faults.append(f"account {account}: cash below its minimum")
        if np.abs(trade[members]).sum() > coupling.turnover_max[account] + slack:
            faults.append(f"account {account}: too much turnover")
    for row, limit in enumerate(coupling.cap_max):
        members = coupling.cap_position[slice(*coupling.cap_offsets[row : row + 2])]
        if (problem.held + trade)[members].sum() > limit + slack:
            faults.append(f"cap {coupling.cap_labels[row]} broken")
    for window, label in enumerate(coupling.wash_labels):
        losses = coupling.wash_segment[slice(*coupling.wash_segment_offsets[window:][:2])]
        buys = coupling.wash_position[slice(*coupling.wash_position_offsets[window:][:2])]
        if (sold[losses] > 0).any() and (trade[buys] > 0).any():
            faults.append(f"wash sale of {label}")
    if (problem.gain * sold).sum() > coupling.gains_max + slack:
        faults.append("gains beyond the budget")
    return faults
