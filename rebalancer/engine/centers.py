"""Where each account's trades should lead, before costs: the worth of every class and security.

The policy's destination and the mode say what every row (asset class or security, cash last) should
be worth; what a class should be worth is then laid upon its securities. The solvers weigh these
centers against tax and costs.
"""

from dataclasses import dataclass, fields

import numpy as np

from rebalancer.domain.kinds import BandLevel, Destination, Mode
from rebalancer.engine.book import EXCLUDED, NO_BUY, NO_SELL, WASHED, Book
from rebalancer.engine.columns import SHARE_UNITS, Bools, Floats, Ints
from rebalancer.engine.compiled import compiled
from rebalancer.engine.drift import Drift, Rows, join_households
from rebalancer.engine.spread import spread
from rebalancer.engine.targets import Targets

# Among securities of a class, those outside the model are the first to be sold: their pull towards
# staying is this small a share of the class.
LEGACY_SLOPE = 1e-6
# Destinations as the compiled code knows them.
_TO_TARGET, _TO_EDGE, _SPEND, _RAISE, _STAY, _DRIFTED = range(6)
_MOVES = {
    Mode.FULL: _TO_TARGET,
    Mode.BUY_ONLY: _TO_TARGET,
    Mode.SELL_ONLY: _TO_TARGET,
    Mode.BAND_EDGE: _TO_EDGE,
    Mode.SPEND_CASH: _SPEND,
    Mode.RAISE_CASH: _RAISE,
    Mode.HARVEST_ONLY: _STAY,
    Mode.DRIFTED_ONLY: _DRIFTED,
}


@dataclass(frozen=True)
class Centers:
    """What each class, security and the cash should be worth, in money, by account.

    `may_buy` and `may_sell` join wishes, wash-sale windows and the mode.
    """

    classes: Floats  # [accounts, classes]; of the household where it is managed together
    securities: Floats  # [accounts, securities]
    cash: Floats  # [accounts]
    may_buy: Bools  # [accounts, securities]
    may_sell: Bools
    must_leave: Bools  # sold whatever it costs

    def take(self, rows: slice) -> "Centers":
        """Return the centers of some accounts."""
        return Centers(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def build_centers(
    book: Book, targets: Targets, drift: Drift, accounts: Ints, modes: list[Mode]
) -> Centers:
    """Return where the trades of these accounts should lead, each in its own mode."""
    policy = book.policy_index[accounts]
    by_class = np.array([p.band_level is BandLevel.ASSET_CLASS for p in book.policies])[policy]
    moves = np.array([_MOVES[mode] for mode in modes], np.int64)
    shares = np.array([_destination_share(book, int(index)) for index in policy])
    # A household that is managed together has one center: that of all its money.
    values = join_households(book, np.nan_to_num(book.values))[accounts]
    codes = lock_codes(book, accounts)
    buyable = np.array([row.is_buyable for row in book.securities]) & (book.price_units > 0)
    may_buy = (codes & (NO_BUY | EXCLUDED | WASHED) == 0) & buyable
    may_sell = codes & NO_SELL == 0
    must_leave = (codes & EXCLUDED > 0) & may_sell
    active = ~book.is_frozen[accounts][:, None]
    count, securities = len(accounts), len(book.securities)
    classes = np.zeros((count, len(book.class_names)))
    centers, cash = np.zeros((count, securities)), np.zeros(count)
    held = join_households(book, np.nan_to_num(book.held_values))[accounts]
    model = join_households(book, targets.weights * np.nan_to_num(book.values)[:, None])[accounts]
    for level, rows in ((True, drift.by_class), (False, drift.by_security)):
        mine = np.flatnonzero(by_class == level)
        if not len(mine):
            continue
        at = accounts[mine]
        steps = _measure_steps(book, (held[mine] > 0) | (model[mine] > 0), by_class=level)
        low, high = _step_inside(rows, at, steps / values[mine][:, None], shares[mine][:, None])
        wanted = _want_rows(
            moves[mine],
            values[mine],
            rows.weights[at],
            rows.targets[at],
            low,
            high,
            rows.breached[at],
        )
        cash[mine] = wanted[:, -1]
        if level:
            classes[mine] = wanted[:, :-1]
            centers[mine] = _lay_upon_securities(
                wanted,
                held[mine],
                model[mine],
                book.class_index,
                may_buy[mine],
                may_sell[mine],
                must_leave[mine],
            )
        else:
            centers[mine] = wanted[:, :-1]
            classes[mine] = book.sum_classes(wanted[:, :-1])
    centers = np.where(must_leave, 0.0, centers)
    return Centers(
        classes=classes,
        securities=np.clip(
            centers,
            np.where(may_sell, 0.0, held),
            np.where(may_buy, np.inf, held),
        ),
        cash=cash,
        **_limit_by_mode(
            modes,
            may_buy & active,
            may_sell & active,
            must_leave & active,
            cash - join_households(book, book.cash)[accounts],
        ),
    )


def _measure_steps(book: Book, involved: Bools, *, by_class: bool) -> Floats:
    """Return [accounts, rows]: the largest share step of each row, in money; none for cash."""
    step = book.step_units / SHARE_UNITS * np.nan_to_num(book.prices)
    steps = np.where(involved, step, 0.0)
    if by_class:
        groups = [
            steps[:, book.class_index == index].max(axis=1, initial=0.0)
            for index in range(len(book.class_names))
        ]
        steps = np.column_stack(groups)
    return np.column_stack([steps, np.zeros(len(steps))])


def _step_inside(rows: Rows, at: Ints, step: Floats, share: Floats) -> tuple[Floats, Floats]:
    """Return the bands that breached rows are brought into.

    They lie `share` of the way from the edge to the target, and at least one share step inside, so
    that rounding keeps the row in its band.
    """
    low, high, target = rows.low[at], rows.high[at], rows.targets[at]
    breached = rows.breached[at]
    up = np.maximum(step, share * (target - low))
    down = np.maximum(step, share * (high - target))
    return (
        np.where(breached, np.maximum(low, np.minimum(low + up, target)), low),
        np.where(breached, np.minimum(high, np.maximum(high - down, target)), high),
    )


def _destination_share(book: Book, policy: int) -> float:
    """Return how far past the band's edge the trades go: 0 to the edge, 1 to the target."""
    terms = book.policies[policy]
    return float(terms.destination_share) if terms.destination is Destination.BETWEEN else 0.0


def _limit_by_mode(
    modes: list[Mode], may_buy: Bools, may_sell: Bools, must_leave: Bools, missing_cash: Floats
) -> dict[str, Bools]:
    mode = np.array(modes)
    raising = (mode == Mode.SPEND_CASH) & (missing_cash > 0)
    spending = (mode == Mode.SPEND_CASH) & (missing_cash <= 0)
    no_buys = np.isin(mode, [Mode.SELL_ONLY, Mode.RAISE_CASH]) | raising
    no_sells = (mode == Mode.BUY_ONLY) | spending
    keeps = np.isin(mode, [Mode.HARVEST_ONLY, Mode.RAISE_CASH, Mode.SPEND_CASH, Mode.BUY_ONLY])
    return {
        "may_buy": may_buy & ~no_buys[:, None],
        "may_sell": may_sell & ~no_sells[:, None],
        "must_leave": must_leave & ~keeps[:, None],
    }


def lock_codes(book: Book, accounts: Ints) -> Ints:
    """Return [accounts, securities]: the lock codes in force, wash-sale windows included."""
    codes = np.zeros((len(accounts), len(book.securities)), np.int64)
    place = np.full(book.account_count, -1)
    place[accounts] = np.arange(len(accounts))
    if len(book.lock_code):
        row = place[np.repeat(np.arange(book.account_count), np.diff(book.lock_offsets))]
        inside = row >= 0
        np.bitwise_or.at(codes, (row[inside], book.lock_security[inside]), book.lock_code[inside])
    blocked = book.washes.blocked_until
    homes = book.household_index[accounts]
    for mine in map(int, np.flatnonzero(np.isin(homes, sorted(blocked)))):
        codes[mine, np.isin(book.group_index, sorted(blocked[int(homes[mine])]))] |= WASHED
    return codes


@compiled
def _want_rows(
    moves: Ints,
    values: Floats,
    weights: Floats,
    targets: Floats,
    lows: Floats,
    highs: Floats,
    breached: Bools,
) -> Floats:
    wanted = np.zeros_like(weights)
    for a in range(len(moves)):
        value = values[a]
        current, target = weights[a] * value, targets[a] * value
        move = moves[a]
        if move == _TO_TARGET:
            wanted[a] = target
        elif move == _STAY:
            wanted[a] = current
        elif move == _DRIFTED:
            wanted[a] = np.where(breached[a], target, current)
            wanted[a, -1] = value - wanted[a, :-1].sum()
        elif move == _TO_EDGE:
            low, high = lows[a] * value, highs[a] * value
            wanted[a] = _want_edge(value, current, target, low, high, breached[a])
        else:
            cash = target[-1]
            if move == _RAISE:
                cash = max(current[-1], cash)
            wanted[a] = _want_flow(value, current, target, cash)
    return wanted


@compiled
def _want_edge(
    value: float, current: Floats, target: Floats, low: Floats, high: Floats, breached: Bools
) -> Floats:
    # What has no target never gains, and once it is over its band it leaves altogether.
    rows = len(current)
    top = high.copy()
    for row in range(rows - 1):
        if target[row] <= 0:
            top[row] = 0.0 if breached[row] else current[row]
    bottom = np.minimum(low, top)
    wanted = np.minimum(np.maximum(current, bottom), top)
    missing = value - wanted.sum()
    room = (top - wanted) if missing > 0 else (wanted - bottom)
    slope = np.where(breached, 0.0, np.maximum(room, 0.0))
    wanted = spread(value, wanted, slope, bottom, top)
    # Rows inside their bands had too little room: those at the edge go further in.
    return spread(value, wanted, target, bottom, top)


@compiled
def _want_flow(value: float, current: Floats, target: Floats, cash: float) -> Floats:
    rest, wanted = current[:-1].copy(), target[:-1].copy()
    total = value - cash
    buying = total > rest.sum()
    if buying:
        spent = spread(total, wanted, wanted, rest, np.full_like(rest, total))
    else:
        spent = spread(total, wanted, wanted + LEGACY_SLOPE * value, np.zeros_like(rest), rest)
    flow = np.empty_like(current)
    flow[:-1] = spent
    flow[-1] = cash
    return flow


@compiled
def _lay_upon_securities(
    wanted: Floats,
    held: Floats,
    model: Floats,
    class_index: Ints,
    may_buy: Bools,
    may_sell: Bools,
    must_leave: Bools,
) -> Floats:
    laid = np.zeros_like(held)
    for group in range(wanted.shape[1] - 1):
        members = np.flatnonzero(class_index == group)
        for a in range(len(wanted)):
            within = _want_within_class(
                wanted[a, group],
                held[a][members],
                model[a][members],
                may_buy[a][members],
                may_sell[a][members],
                must_leave[a][members],
            )
            for place, member in enumerate(members):
                laid[a, member] = within[place]
    return laid


@compiled
def _want_within_class(
    total: float, held: Floats, model: Floats, may_buy: Bools, may_sell: Bools, must_leave: Bools
) -> Floats:
    staying = np.where(must_leave, 0.0, held)
    if total >= staying.sum():
        low = staying
        high = np.where(may_buy, total, staying)
        slope = model
    else:
        low = np.where(may_sell, 0.0, staying)
        high = staying
        # Without targets of their own, securities give way by the weight they have.
        slope = (model if model.sum() > 0 else staying) + LEGACY_SLOPE * total
    slope = np.where(must_leave, 0.0, slope)
    center = np.where(must_leave, 0.0, model)
    return spread(total, center, slope, low, np.maximum(low, high))
