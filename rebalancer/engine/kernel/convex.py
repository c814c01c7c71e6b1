"""The convex kernel: one account's best trades in any amounts, by one price of cash.

For a fixed price of cash the positions separate, and each answers in closed form; where a group
ties some together, one further price brings them in line. The root searches take Newton steps on
piecewise linear functions, which end exactly, and keep a bracket in case they do not.
"""

from math import inf, sqrt

from rebalancer.engine.columns import Floats
from rebalancer.engine.compiled import compiled
from rebalancer.engine.kernel.account import (
    Account,
    measure_change,
    measure_flow,
)
from rebalancer.engine.kernel.rows import (
    AMOUNT,
    BUY_CASH,
    BUY_COST,
    BUY_MAX,
    CASH,
    CASH_MIN,
    CASH_PULL,
    CASH_TARGET,
    GAP,
    GROUP_GAP,
    GROUP_PULL,
    IMPACT,
    MULTIPLIER,
    PRICE,
    PULL,
    SELL_CASH,
    SELL_COST,
    SELLABLE,
    VALUE,
)

# Shares of V up to which money counts as equal: far below what a plan can be told apart by, and
# far above the noise of adding up.
CASH_NOISE, GROUP_NOISE = 1e-13, 1e-14

# So that adding up can never lift a bound above what it bounds.
BOUND_NOISE = 1e-14

STEPS_MAX = 200


@compiled
def settle_amount(pull: float, impact: float, drive: float) -> float:
    """Return the x > 0 where pull x + 1.5 impact sqrt(x) = drive: more stops paying."""
    if impact == 0.0:
        return drive / pull
    half = 1.5 * impact
    root = 2.0 * drive / (half + sqrt(half * half + 4.0 * pull * drive))
    return root * root


@compiled
def settle_sale(
    segments: Floats, start: int, stop: int, pull: float, impact: float, drive: float
) -> float:
    """Return how much to sell: down the segments until the next one's price stops it."""
    sold = 0.0
    for k in range(start, stop):
        left = drive - segments[k, PRICE]
        if left <= 0.0:
            break
        amount = settle_amount(pull, impact, left)
        if amount <= sold:
            break
        end = sold + segments[k, AMOUNT]
        if amount < end:
            return amount
        sold = end
    return sold


@compiled
def respond(
    rows: Floats,
    i: int,
    segments: Floats,
    start: int,
    stop: int,
    cash_price: float,
    group_price: float,
) -> tuple[float, float]:
    """Return a position's best trade at these prices, and how fast it grows as they fall."""
    pull, impact = rows[i, PULL], rows[i, IMPACT]
    bought, sold = 0.0, 0.0
    want = pull * rows[i, GAP] - group_price
    drive = want - rows[i, BUY_COST] - cash_price * rows[i, BUY_CASH]
    if drive > 0.0 and rows[i, BUY_MAX] > 0.0:
        bought = min(settle_amount(pull, impact, drive), rows[i, BUY_MAX])
    drive = cash_price * rows[i, SELL_CASH] - rows[i, SELL_COST] - want
    if rows[i, SELLABLE] > 0.0 and drive > segments[start, PRICE]:
        sold = settle_sale(segments, start, stop, pull, impact, drive)
    if bought > 0.0 and sold > 0.0:
        # Only where selling at a loss alone pays for a round trip: not convex, so compare.
        buying = measure_change(rows, i, segments, start, stop, bought, PRICE)
        buying += (cash_price * rows[i, BUY_CASH] + group_price) * bought
        selling = measure_change(rows, i, segments, start, stop, -sold, PRICE)
        selling -= (cash_price * rows[i, SELL_CASH] + group_price) * sold
        if buying <= selling:
            sold = 0.0
        else:
            bought = 0.0
    amount = bought + sold
    if amount == 0.0 or (sold == 0.0 and bought == rows[i, BUY_MAX]):
        return bought, 0.0
    if sold > 0.0 and is_at_kink(segments, start, stop, sold):
        return -sold, 0.0
    slope = 1.0 / (pull + (0.75 * impact / sqrt(amount) if impact > 0.0 else 0.0))
    return bought - sold, slope


@compiled
def is_at_kink(segments: Floats, start: int, stop: int, sold: float) -> bool:
    """Tell whether a sale ends exactly where a segment does."""
    end = 0.0
    for k in range(start, stop):
        end += segments[k, AMOUNT]
        if sold <= end:
            return sold == end
    return True


@compiled
def step_within(at: float, step: float, low: float, high: float, count: int) -> float:
    """Return where to look next for a root: a Newton step, or the middle of the bracket."""
    ahead = at + step
    if low == -inf or high == inf:
        if low < ahead < high:
            return ahead
        # Without a slope to go by: ever further out on the open side.
        reach = max(abs(at), 1e-6) * 4.0
        return at + reach if high == inf else at - reach
    if low < ahead < high and count % 8 != 7:
        return ahead
    return 0.5 * (low + high)


@compiled
def is_closed(low: float, high: float) -> bool:
    """Tell whether a bracket has no room left to look in."""
    if low == -inf or high == inf:
        return False
    return high - low <= 4e-16 * max(abs(low), abs(high)) + 1e-18


@compiled
def sum_group(
    account: Account, g: int, mu: float, trade: Floats
) -> tuple[float, float, float, float]:
    """Set a group's trades at its price; return their sum and slopes: of it, of the cash, of both.

    The slopes are the sums of how fast the trades grow as prices fall, weighted by 1, by the cash
    that a unit of the trade moves, and by the square of that.
    """
    price = account.groups[g, MULTIPLIER]
    total, slope, cash_slope, square_slope = 0.0, 0.0, 0.0, 0.0
    for i in range(len(account.member)):
        if account.member[i] == g:
            start, stop = account.first[i], account.first[i + 1]
            trade[i], grows = respond(account.rows, i, account.segments, start, stop, mu, price)
            share = account.rows[i, BUY_CASH if trade[i] > 0.0 else SELL_CASH]
            total += trade[i]
            slope += grows
            cash_slope += grows * share
            square_slope += grows * share * share
    return total, slope, cash_slope, square_slope


@compiled
def settle_group(account: Account, g: int, mu: float, trade: Floats, spare: Floats) -> float:
    """Find a group's price at this price of cash, set its trades; return their cash slope."""
    groups = account.groups
    pull, gap = groups[g, GROUP_PULL], groups[g, GROUP_GAP]
    noise = GROUP_NOISE * account.cash[VALUE]
    low, high = -inf, inf
    for count in range(STEPS_MAX):
        price = groups[g, MULTIPLIER]
        total, slope, cash_slope, square_slope = sum_group(account, g, mu, trade)
        excess = total - gap - price / pull
        slope += 1.0 / pull
        if abs(excess) <= noise:
            return square_slope - cash_slope * cash_slope / slope
        if excess > 0.0:
            low = price
        else:
            high = price
        if is_closed(low, high):
            break
        groups[g, MULTIPLIER] = step_within(price, excess / slope, low, high, count)
    mix_group(account, g, mu, low, high, trade, spare)
    return 0.0


@compiled
def mix_group(
    account: Account, g: int, mu: float, low: float, high: float, trade: Floats, spare: Floats
) -> None:
    """Set a group's trades between those of two prices next to each other, where they jump."""
    groups = account.groups
    groups[g, MULTIPLIER] = high
    below, _, _, _ = sum_group(account, g, mu, spare)
    groups[g, MULTIPLIER] = low
    above, _, _, _ = sum_group(account, g, mu, trade)
    aim = groups[g, GROUP_GAP] + low / groups[g, GROUP_PULL]
    if not above > below:
        return
    share = min(1.0, max(0.0, (aim - below) / (above - below)))
    for i in range(len(account.member)):
        if account.member[i] == g:
            trade[i] = spare[i] + share * (trade[i] - spare[i])


@compiled
def spend(account: Account, mu: float, trade: Floats, spare: Floats) -> tuple[float, float]:
    """Set the trades at this price of cash; return the cash missing and how fast mu reduces it."""
    rows, cash = account.rows, account.cash
    missing, slope = -cash[CASH], 0.0
    for g in range(len(account.groups)):
        if account.groups[g, GROUP_PULL] > 0.0:
            slope += max(0.0, settle_group(account, g, mu, trade, spare))
    for i in range(len(rows)):
        grows = 0.0
        if account.member[i] < 0:
            start, stop = account.first[i], account.first[i + 1]
            trade[i], grows = respond(rows, i, account.segments, start, stop, mu, 0.0)
        if trade[i] != 0.0:
            share = rows[i, BUY_CASH if trade[i] > 0.0 else SELL_CASH]
            missing += trade[i] * share
            slope += grows * share * share
    kept = cash[CASH_MIN]
    if cash[CASH_PULL] > 0.0:
        wanted = cash[CASH_TARGET] - mu / cash[CASH_PULL]
        if wanted > kept:
            kept = wanted
            slope += 1.0 / cash[CASH_PULL]
    return missing + kept, slope


@compiled
def solve_account(account: Account, trade: Floats, work: Floats) -> tuple[float, float]:
    """Set the best trades of any amounts; return the price of cash and how fast it raises cash.

    The account must be able to raise its least cash.
    """
    noise = CASH_NOISE * account.cash[VALUE]
    low, high = -inf, inf
    mu = 0.0
    missing, slope = spend(account, mu, trade, work[0])
    if account.cash[CASH_PULL] <= 0.0:
        # Cash without a target: more of it costs nothing, so its price is never negative.
        if missing <= noise:
            return mu, slope
        low = mu
    for count in range(STEPS_MAX):
        if abs(missing) <= noise:
            return mu, slope
        if missing > 0.0:
            low = mu
        else:
            high = mu
        if is_closed(low, high):
            break
        mu = step_within(mu, missing / slope if slope > 0.0 else inf, low, high, count)
        missing, slope = spend(account, mu, trade, work[0])
    if low > -inf and high < inf:
        mu = high
        mix_trades(account, low, high, trade, work)
    return mu, 0.0


@compiled
def mix_trades(account: Account, low: float, high: float, trade: Floats, work: Floats) -> None:
    """Set the trades between those of two prices of cash next to each other, where they jump."""
    other = work[1]
    missing, _ = spend(account, low, other, work[0])
    over, _ = spend(account, high, trade, work[0])
    if not missing > over:
        return
    share = min(1.0, max(0.0, -over / (missing - over)))
    for i in range(len(account.rows)):
        trade[i] += share * (other[i] - trade[i])


@compiled
def measure_dual(account: Account, mu: float) -> float:
    """Return what no plan can cost less than, by the prices of cash and of the groups."""
    cash, rows, groups = account.cash, account.rows, account.groups
    total = measure_cash_dual(account, mu)
    for g in range(len(groups)):
        if groups[g, GROUP_PULL] > 0.0:
            price = groups[g, MULTIPLIER]
            total -= price * (0.5 * price / groups[g, GROUP_PULL] + groups[g, GROUP_GAP])
    for i in range(len(rows)):
        start, stop = account.first[i], account.first[i + 1]
        price = groups[account.member[i], MULTIPLIER] if account.member[i] >= 0 else 0.0
        trade, _ = respond(rows, i, account.segments, start, stop, mu, price)
        total += 0.5 * rows[i, PULL] * rows[i, GAP] * rows[i, GAP]
        if trade != 0.0:
            total += measure_change(rows, i, account.segments, start, stop, trade, PRICE)
            total += mu * measure_flow(rows, i, trade) + price * trade
    return total - BOUND_NOISE * cash[VALUE]


@compiled
def measure_cash_dual(account: Account, mu: float) -> float:
    """Return the least that cash kept costs at this price, less the worth of the cash at hand."""
    cash = account.cash
    kept = cash[CASH_MIN]
    if cash[CASH_PULL] > 0.0:
        kept = max(kept, cash[CASH_TARGET] - mu / cash[CASH_PULL])
    idle = kept - cash[CASH_TARGET]
    return 0.5 * cash[CASH_PULL] * idle * idle + mu * (kept - cash[CASH])
