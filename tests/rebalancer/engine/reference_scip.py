"""A Problem in full by SCIP: steps, smallest trades, tickets, groups, and the tax return's regimes.

The solver sees money divided by the accounts' value and costs in basis points of it, so that its
tolerance of 1e-8 is far below what the tests compare.
"""

from contextlib import suppress

import numpy as np
import pyscipopt
from pyscipopt import quicksum

from rebalancer.engine.problem import Problem
from tests.rebalancer.engine.reference_measure import (
    Answer,
    HouseholdTax,
    list_accounts,
    measure_netted,
    measure_tax,
    measure_untaxed,
    positions_of,
    segments_of,
)

BPS = 1e4
STEP_SHARE = 1e-6  # steps smaller than this share of the value count as fractions


class Formulation:
    """One household's model: variables by position and segment, terms of the objective in bps."""

    def __init__(self, problem: Problem, accounts: list[int], tau, effort) -> None:
        self.problem, self.accounts, self.tau = problem, accounts, tau
        self.scale = float(problem.value[accounts].sum())
        self.model = pyscipopt.Model()
        self.model.hideOutput()
        for name, value in {
            "numerics/feastol": effort[1],
            "limits/time": effort[0],
            "constraints/components/maxprerounds": 0,
            "constraints/components/propfreq": -1,
            "limits/gap": 0.0,
            "limits/absgap": 1e-4,
            "parallel/maxnthreads": 1,
        }.items():
            self.model.setParam(name, value)
        self.bought, self.sold, self.traded, self.terms, self.cash = {}, {}, {}, [], {}
        for account in accounts:
            self.add_account(account)

    def real(self, low=0.0, high=None):
        return self.model.addVar(lb=low, ub=high)

    def flag(self):
        return self.model.addVar(vtype="B")

    def add_square(self, weight: float, expression) -> None:
        """Add weight / 2 expression^2 (expression in shares of the value) to the objective."""
        if weight == 0:
            return
        miss, cost = self.real(low=None), self.real()
        self.model.addCons(miss == expression)
        self.model.addCons(cost >= BPS * weight / 2 * miss * miss)
        self.terms.append(cost)

    def add_account(self, account: int) -> None:
        problem, scale = self.problem, self.scale
        factor = scale / problem.value[account]
        flow, groups = problem.cash[account] / scale, {}
        for i in positions_of(problem, account):
            trade, ticket = self.add_position(account, i)
            held = problem.held[i] / scale
            self.add_square(problem.penalty[i] * factor, held + trade - problem.target[i] / scale)
            old = groups.get(int(problem.group[i]), 0.0)
            groups[int(problem.group[i])] = old + held + trade
            sale = quicksum(self.sold[s] for s in segments_of(problem, i))
            flow -= self.bought[i] * (1 + problem.buy_cost[i])
            flow += sale * (1 - problem.sell_cost[i]) - problem.ticket_cash[i] / scale * ticket
        for group in range(*problem.group_offsets[account : account + 2]):
            if group in groups:
                target = problem.group_target[group] / scale
                self.add_square(problem.group_penalty[group] * factor, groups[group] - target)
        cash = self.real(low=problem.cash_min[account] / scale)
        self.model.addCons(cash == flow)
        target = problem.cash_target[account] / scale
        self.add_square(problem.cash_penalty[account] * factor, cash - target)

    def add_position(self, account: int, i: int):
        """Add one security; return its trade and whether it trades, as expressions."""
        problem, scale, model = self.problem, self.scale, self.model
        amounts = {s: problem.amount[s] / scale for s in segments_of(problem, i)}
        room = min(problem.buy_max[i] / scale, self.most_bought(account, i))
        self.bought[i] = self.real(high=room)
        for segment, amount in amounts.items():
            self.sold[segment] = self.real(high=amount)
        sale = quicksum(self.sold[s] for s in amounts)
        spread = problem.buy_cost[i] * self.bought[i] + problem.sell_cost[i] * sale
        self.terms.append(BPS * spread)
        self.add_impact(i, sale)
        if self.is_divisible(account, i):
            self.traded[i] = None
            return self.bought[i] - sale, 0.0
        buys, sells = self.flag(), self.flag()
        total, held = sum(amounts.values()), problem.held[i] / scale
        exits = self.flag() if abs(total - held) < 1e-9 and held > 0 else 0
        model.addCons(buys + sells + exits <= 1)
        model.addCons(self.bought[i] <= room * buys)
        model.addCons(self.bought[i] >= min(problem.smallest[i] / scale, room + 1) * buys)
        model.addCons(sale <= total * (sells + exits))
        model.addCons(sale >= held * exits + problem.smallest[i] / scale * sells)
        self.add_steps(i, sale, exits, held, total, room)
        ticket = buys + sells + exits
        cost = problem.ticket_cash[i] + problem.ticket_price[account]
        self.terms.append(BPS * cost / scale * ticket)
        self.traded[i] = (sells, exits)
        return self.bought[i] - sale, ticket

    def is_divisible(self, account: int, i: int) -> bool:
        """Tell whether any trade will do and none is ever both bought and sold: no flags needed."""
        problem, rows = self.problem, list(segments_of(self.problem, i))
        fixed = problem.ticket_cash[i] + problem.ticket_price[account] + problem.smallest[i]
        is_loss = (problem.gain[rows] < 0).any() or (problem.waiting[rows] > 0).any()
        is_loss = is_loss or (self.tau[rows] < 0).any()
        return not fixed and problem.step[i] < STEP_SHARE * self.scale and not is_loss

    def add_impact(self, i: int, sale) -> None:
        if self.problem.impact[i] == 0:
            return
        impact = self.real()
        factor = BPS * self.problem.impact[i] * self.scale**0.5
        self.model.addCons(impact >= factor * (self.bought[i] + sale) ** 1.5)
        self.terms.append(impact)

    def most_bought(self, account: int, i: int) -> float:
        """Return what all the account's cash and sales would buy, as a share of the value."""
        problem = self.problem
        cash = problem.cash[account] - problem.cash_min[account]
        for j in positions_of(problem, account):
            cash += problem.amount[list(segments_of(problem, j))].sum()
        return max(cash, 0.0) / self.scale

    def add_steps(self, i: int, sale, exits, held: float, total: float, room: float) -> None:
        step = self.problem.step[i] / self.scale
        if step < STEP_SHARE:
            return
        bought = self.model.addVar(vtype="I", lb=0, ub=int(room / step) + 1)
        sold = self.model.addVar(vtype="I", lb=0, ub=int(total / step) + 1)
        self.model.addCons(self.bought[i] == step * bought)
        self.model.addCons(sale == step * sold + held * exits)
        if not isinstance(exits, int):
            self.model.addCons(sold <= (int(total / step) + 1) * (1 - exits))

    def price_segments(self, tau) -> None:
        self.terms.append(BPS * quicksum(tau[s] * sold for s, sold in self.sold.items()))

    def add_return(self, tax: HouseholdTax) -> None:
        """Add the year's tax: one flag for each regime, its gains in variables of its own."""
        model, problem, scale = self.model, self.problem, self.scale
        gains = {s: problem.gain[s] * sold for s, sold in self.sold.items()}
        most = 2 + 2 * (abs(tax.short) + abs(tax.long) + tax.cap) / scale
        most += sum(abs(problem.gain[s]) * problem.amount[s] for s in self.sold) / scale
        flags = [self.flag() for _ in range(5)]
        short = [self.real(low=-most, high=most) for _ in flags]
        long = [self.real(low=-most, high=most) for _ in flags]
        model.addCons(quicksum(flags) == 1)
        for parts, of_year, is_long in ((short, tax.short, False), (long, tax.long, True)):
            chosen = [gain for s, gain in gains.items() if bool(problem.is_long[s]) == is_long]
            model.addCons(quicksum(parts) == of_year / scale + quicksum(chosen))
            for part, flag in zip(parts, flags, strict=True):
                model.addCons(part <= most * flag)
                model.addCons(part >= -most * flag)
        cap = tax.cap / scale
        model.addCons(short[0] >= 0)
        model.addCons(long[0] >= 0)
        model.addCons(short[1] >= 0)
        model.addCons(long[1] <= 0)
        model.addCons(short[2] <= 0)
        model.addCons(long[2] >= 0)
        for k in (1, 2):
            model.addCons(short[k] + long[k] >= 0)
        model.addCons(short[3] + long[3] <= 0)
        model.addCons(short[3] + long[3] >= -cap * flags[3])
        model.addCons(short[4] + long[4] <= -cap * flags[4])
        self.terms.append(BPS * (tax.short_rate * short[0] + tax.long_rate * long[0]))
        self.terms.append(BPS * tax.short_rate * (short[1] + long[1]))
        self.terms.append(BPS * tax.long_rate * (short[2] + long[2]))
        self.terms.append(BPS * tax.deduction_rate * (short[3] + long[3]))
        beyond = short[4] + long[4] + cap * flags[4]
        self.terms.append(BPS * tax.carried_rate * beyond)
        self.terms.append(-BPS * tax.deduction_rate * cap * flags[4])

    def limit_gains(self, limit: float) -> None:
        gains = quicksum(self.problem.gain[s] * sold for s, sold in self.sold.items())
        self.model.addCons(gains <= limit / self.scale)

    def limit_turnover(self, account: int, limit: float) -> None:
        problem, size = self.problem, 0.0
        for i in positions_of(problem, account):
            size += self.bought[i] + quicksum(self.sold[s] for s in segments_of(problem, i))
        self.model.addCons(size <= limit * problem.value[account] / self.scale)

    def solve(self) -> bool:
        """Tell whether a plan was found; a numerical breakdown ends the search as it stands."""
        self.model.setObjective(quicksum(self.terms))
        with suppress(Exception):
            self.model.optimize()
        return self.model.getNSols() > 0

    def read(self):
        """Return trades and sold segments, money: whole steps and whole holdings made exact."""
        problem, value = self.problem, self.model.getVal
        trade, sold = np.zeros(len(problem.held)), np.zeros(len(problem.amount))
        for segment, variable in self.sold.items():
            sold[segment] = np.clip(value(variable) * self.scale, 0, problem.amount[segment])
        for i, flags in self.traded.items():
            rows, step = list(segments_of(problem, i)), problem.step[i]
            if flags is None:
                trade[i] = value(self.bought[i]) * self.scale - sold[rows].sum()
                continue
            sells, exits = flags
            is_exit = not isinstance(exits, int) and value(exits) > 0.5
            if is_exit:
                sold[rows] = problem.amount[rows]
            elif value(sells) < 0.5:
                sold[rows] = 0.0
            trade[i] = max(value(self.bought[i]) * self.scale, 0.0) - sold[rows].sum()
            if step >= STEP_SHARE * self.scale and not is_exit:
                trade[i] = round(trade[i] / step) * step
        return trade, sold


def build_model(problem, accounts, tau, tax, gains_limit, turnover_limits, effort) -> Formulation:
    model = Formulation(problem, accounts, tau, effort)
    if tax is None:
        model.price_segments(tau)
    else:
        model.price_segments(-problem.waiting)
        model.add_return(tax)
    if gains_limit is not None and np.isfinite(gains_limit):
        model.limit_gains(gains_limit)
    for a, limit in zip(accounts, turnover_limits or (), strict=False):
        if np.isfinite(limit):
            model.limit_turnover(a, limit)
    return model


def solve_with_scip(
    problem: Problem,
    account,
    *,
    tau=None,
    tax: HouseholdTax | None = None,
    gains_limit=None,
    turnover_limits=None,
    seconds=60.0,
) -> Answer | None:
    """Return the proved optimum of one account, or of several with one tax return or gains limit.

    With `tax` the return's five regimes replace the prices `tau` (default: the account's own
    rates). `gains_limit` is money of this plan; `turnover_limits` shares of each account's value.
    None: no plan keeps the limits.
    """
    accounts = list_accounts(account)
    tau = problem.tau() if tau is None else tau
    for tolerance in (1e-8, 1e-7):
        model = build_model(
            problem, accounts, tau, tax, gains_limit, turnover_limits, (seconds, tolerance)
        )
        if model.solve():
            break
    else:
        return None
    trade, sold = model.read()
    bound = model.model.getDualbound() / BPS * model.scale
    if tax is None:
        objective = sum(measure_untaxed(problem, a, trade) for a in accounts) + sold @ tau
        return Answer(trade, sold, float(objective), bound)
    start = measure_tax(tax, tax.short, tax.long)
    objective = measure_netted(problem, accounts, trade, sold, tax)
    return Answer(trade, sold, objective, bound - start)
