"""Random accounts as in the experiments that the kernel was chosen by; also for the benchmarks."""

from dataclasses import fields

import numpy as np

from rebalancer.engine.problem import Problem


def draw_problem(
    seed: int,
    *,
    accounts: int,
    positions: int = 12,
    lots_max: int = 4,
    whole_share: float = 0.5,
    has_tickets: bool = True,
    has_smallest: bool = True,
    has_impact: bool = False,
    groups: int = 0,
    has_losses: bool = True,
) -> Problem:
    """Return so many accounts: half hold whole shares, a quarter pay tickets, 40 % have a flow.

    Losses make a problem that is not convex: the tax alone may pay for a round trip. With `groups`,
    every account's positions fall into so many classes at random.
    """
    rng = np.random.default_rng(seed)
    shape = (accounts, positions)
    value = np.clip(np.exp(rng.normal(np.log(60e3), 1.1, accounts)), 3e3, 5e6)
    money = value[:, None]
    weight = rng.dirichlet(np.full(positions, 2.0), accounts) * 0.99
    held = weight * np.exp(rng.normal(0, 0.18, shape)) * (rng.random(shape) > 0.08)
    held *= money * (0.985 / held.sum(axis=1, keepdims=True))
    flow = rng.choice([0, 0, 0, 0.04, -0.04], accounts) * rng.uniform(0.2, 1.5, accounts)
    is_whole = (rng.random(accounts) < whole_share)[:, None]
    price = np.exp(rng.normal(np.log(90), 0.8, shape)).clip(5, 900)
    shares = np.where(is_whole, np.rint(held / price), np.rint(held / price * 1e6) / 1e6)
    held = shares * price
    lots = np.where(held > 0, rng.integers(1, lots_max + 1, shape), 0)
    cost = rng.uniform(2e-4, 12e-4, shape)
    lot_count = int(lots.sum())
    size = rng.gamma(1.5, 1.0, lot_count)
    owner = np.repeat(np.arange(accounts * positions), lots.ravel())
    amount = size / np.bincount(owner, size, minlength=accounts * positions)[owner]
    amount *= held.ravel()[owner]
    is_taxed = rng.random(accounts) < 0.7
    gain = np.clip(rng.normal(0.15, 0.3, lot_count), -0.6 if has_losses else 0.0, 0.9)
    has_ticket = (rng.random(accounts) < 0.25)[:, None] & has_tickets
    smallest = np.maximum(25, 5e-4 * value)[:, None] * has_smallest
    member = rng.integers(0, max(groups, 1), shape)
    group = np.where(groups > 0, member + np.arange(accounts)[:, None] * groups, -1)
    target = weight * money
    wanted = np.bincount(np.maximum(group, 0).ravel(), target.ravel(), minlength=accounts * groups)
    return Problem(
        household_offsets=np.arange(accounts + 1),
        value=value,
        cash=value * (0.015 + flow),
        cash_min=np.full(accounts, 50.0),
        cash_target=0.01 * value,
        cash_penalty=np.full(accounts, 0.5),
        ticket_price=np.zeros(accounts),
        short_rate=np.where(is_taxed, 0.35, 0.0),
        long_rate=np.where(is_taxed, 0.15, 0.0),
        position_offsets=np.arange(accounts + 1) * positions,
        group_offsets=np.arange(accounts + 1) * groups,
        group_target=wanted[: accounts * groups],
        group_penalty=rng.uniform(0.2, 2.0, accounts * groups),
        security=np.tile(np.arange(positions), accounts),
        group=group.ravel(),
        held=held.ravel(),
        target=target.ravel(),
        penalty=rng.uniform(0.3, 1.0, shape).ravel(),
        buy_cost=cost.ravel(),
        sell_cost=cost.ravel(),
        ticket_cash=np.broadcast_to(has_ticket * 1.0, shape).ravel(),
        impact=(rng.uniform(0, 2e-5, shape) * has_impact).ravel(),
        smallest=np.broadcast_to(smallest, shape).ravel(),
        step=np.where(is_whole, price, price * 1e-6).ravel(),
        buy_max=np.where(rng.random(shape) < 0.05, 0.0, np.inf).ravel(),
        segment_offsets=np.concatenate([[0], np.cumsum(lots.ravel())]),
        lot=np.arange(lot_count),
        amount=amount,
        gain=gain,
        is_long=rng.random(lot_count) < 0.6,
        waiting=np.zeros(lot_count),
    )


def replace_columns(problem: Problem, **columns: object) -> Problem:
    """Return the problem with some of its columns replaced."""
    own = {field.name: getattr(problem, field.name) for field in fields(problem)}
    return Problem(**{**own, **columns})


def pick_accounts(problem: Problem, order: np.ndarray) -> Problem:
    """Return some of the accounts, in this order; all have as many positions and groups."""
    count = problem.account_count
    positions = (order[:, None] * (len(problem.held) // count)) + np.arange(
        len(problem.held) // count
    )
    positions = positions.ravel()
    each = len(problem.group_target) // count
    groups = (order[:, None] * each + np.arange(each)).ravel()
    lengths = np.diff(problem.segment_offsets)[positions]
    starts = problem.segment_offsets[:-1][positions]
    segments = np.concatenate(
        [np.arange(start, start + n) for start, n in zip(starts, lengths, strict=True)]
    )
    by_account = "value cash cash_min cash_target cash_penalty ticket_price short_rate long_rate"
    by_position = (
        "security held target penalty buy_cost sell_cost ticket_cash impact smallest step buy_max"
    )
    columns = {name: getattr(problem, name)[order] for name in by_account.split()}
    columns |= {name: getattr(problem, name)[positions] for name in by_position.split()}
    columns |= {
        name: getattr(problem, name)[segments]
        for name in ("lot", "amount", "gain", "is_long", "waiting")
    }
    group = problem.group[positions]
    shift = np.repeat(np.arange(len(order)) - order, len(positions) // len(order)) * each
    return replace_columns(
        problem,
        **columns,
        household_offsets=np.arange(len(order) + 1),
        position_offsets=np.arange(len(order) + 1) * (len(positions) // len(order)),
        group_offsets=np.arange(len(order) + 1) * each,
        group_target=problem.group_target[groups],
        group_penalty=problem.group_penalty[groups],
        group=np.where(group >= 0, group + shift, -1),
        segment_offsets=np.concatenate([[0], np.cumsum(lengths)]),
    )
