"""Whether clients in shared blocks are treated alike: exact shares, one price, no favourites."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from portfolios.domain.money import ZERO

SHUFFLES = 2000


@dataclass(frozen=True, slots=True)
class Fairness:
    """How far what a block gave is from the exact shares."""

    steps_off_max: Decimal  # in share steps; a fair block stays below one
    price_spread: Decimal  # highest less lowest average price, before rounding to cents
    is_fair: bool


def measure_fairness(
    *,
    ordered: Sequence[Decimal],
    given: Sequence[Decimal],
    amounts: Sequence[Decimal],
    share_step: Decimal,
) -> Fairness:
    """Return how far a block's shares are from pro rata, and its prices from each other.

    Amounts are in cents: the prices of two accounts may differ by a cent on each one's shares.

    :raises ValueError: when the columns do not match, or nothing was ordered.
    """
    if not len(ordered) == len(given) == len(amounts) or not sum(ordered, ZERO):
        raise ValueError("a block has an order, a share and an amount for everybody in it")
    filled, total = sum(given, ZERO), sum(ordered, ZERO)
    off = max(
        abs(got - filled * wanted / total) / share_step
        for got, wanted in zip(given, ordered, strict=True)
    )
    traded = [(amount, got) for amount, got in zip(amounts, given, strict=True) if got]
    prices = [amount / got for amount, got in traded]
    spread = max(prices) - min(prices) if prices else ZERO
    cent_on_each = max((Decimal("0.01") / got for _amount, got in traded), default=ZERO)
    return Fairness(off, spread, off < 1 and spread <= 2 * cent_on_each)


def compare_ranks(
    samples: Mapping[str, Sequence[float]], *, seed: int, shuffles: int = SHUFFLES
) -> tuple[float, float]:
    """Return (H, p) of the Kruskal-Wallis test that all samples come from one distribution.

    The p-value is by permutation, from `seed`, so that small samples and ties are counted right:
    the share of shuffles whose H is at least as large. (0, 1) where there is nothing to compare.
    """
    groups = [list(values) for values in samples.values() if len(values)]
    pooled = [value for values in groups for value in values]
    if len(groups) < 2 or len(set(pooled)) < 2:
        return 0.0, 1.0
    ranks = _rank(pooled)
    sizes = [len(values) for values in groups]
    observed = _measure_h(ranks, sizes)
    dice, as_large = Random(seed), 1
    for _ in range(shuffles):
        dice.shuffle(ranks)
        as_large += _measure_h(ranks, sizes) >= observed - 1e-12
    return observed, as_large / (shuffles + 1)


def _rank(values: Sequence[float]) -> list[float]:
    """Return ranks from 1, ties at their mean."""
    places = defaultdict(list)
    for place, value in enumerate(sorted(values), start=1):
        places[value].append(place)
    mean = {value: sum(at) / len(at) for value, at in places.items()}
    return [mean[value] for value in values]


def _measure_h(ranks: Sequence[float], sizes: Sequence[int]) -> float:
    """Return Kruskal and Wallis's H, ties corrected, of ranks laid out group by group."""
    count, start, total = len(ranks), 0, 0.0
    for size in sizes:
        total += sum(ranks[start : start + size]) ** 2 / size
        start += size
    ties: dict[float, int] = defaultdict(int)
    for rank in ranks:
        ties[rank] += 1
    correction = 1 - sum(n**3 - n for n in ties.values()) / (count**3 - count)
    return (12 / (count * (count + 1)) * total - 3 * (count + 1)) / correction
