"""Wash sales on random households: against a share-by-share oracle, and what must always hold.

The oracle knows nothing of pieces, cents or windows: it keeps one record for each share and looks
at all of them for each loss.
"""

import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolios.domain.tax import get_regime
from portfolios.domain.tax.regime import is_loss_washed
from tests.portfolios.tax.ledgers import JOINT, SPOUSE, Ledger, draw_ledger

D = Decimal
US = get_regime("US")


@dataclass
class Share:
    lot_id: int
    group: str
    bought: date
    cost: Decimal
    is_sheltered: bool
    start: date
    added: Decimal = D(0)
    is_used: bool = False
    is_sold: bool = False


def match_share_by_share(ledger: Ledger):
    """Return what each sale reports, by term, and each unsold share's basis and holding start."""
    shares = [
        Share(lot.lot_id, lot.group, lot.day, lot.cost / lot.quantity, lot.is_sheltered, lot.day)
        for lot in sorted(ledger.acquisitions, key=lambda lot: (lot.day, lot.lot_id))
        for _share in range(int(lot.quantity))
    ]
    reported = defaultdict(lambda: [D(0), D(0), D(0)])
    sales = sorted(ledger.sales, key=lambda s: (s.day, s.acquired_day, s.lot_id, s.sale_id))
    for day in sorted({sale.day for sale in sales}):
        gone = []
        for sale in [sale for sale in sales if sale.day == day]:
            mine = [share for share in shares if share.lot_id == sale.lot_id and not share.is_sold]
            mine.sort(key=lambda share: (share.start, -share.added, not share.is_used))
            for share in mine[: int(sale.quantity)]:
                share.is_sold = True
                gone.append((sale, share, sale.proceeds / sale.quantity - share.cost - share.added))
        for sale, sold, gain in gone:
            if sold.is_sheltered:
                continue
            is_long = US.is_long_term(acquired_date=sold.start, sold_date=day)
            row = reported[sale.sale_id, sale.lot_id, is_long]
            replacement = find_replacement(shares, sold, day) if gain < 0 else None
            if replacement is None:
                row[0] += gain
                continue
            replacement.is_used = True
            row[1] -= gain
            if replacement.is_sheltered:
                row[2] -= gain
            else:
                replacement.added -= gain
                replacement.start -= day - sold.start
    left = Counter((s.lot_id, s.cost + s.added, s.added, s.start) for s in shares if not s.is_sold)
    return {key: tuple(row) for key, row in reported.items()}, left


def find_replacement(shares, sold, day):
    for share in shares:
        if (
            share.group == sold.group
            and share.lot_id != sold.lot_id
            and abs((share.bought - day).days) <= 30
            and not share.is_used
            and not share.is_sold
        ):
            return share
    return None


def as_oracle_says(view):
    reported = {
        (row.sale_id, row.lot_id, row.is_long_term): (row.gain, row.disallowed, row.lost)
        for row in view.realised
    }
    left = Counter()
    for basis in view.lots.values():
        for piece in basis.pieces:
            key = (
                basis.lot_id,
                piece.cost / piece.quantity,
                piece.adjustment / piece.quantity,
                piece.holding_start,
            )
            left[key] += int(piece.quantity)
    return reported, left


def ledgers(**options):
    return st.builds(
        lambda seed: draw_ledger(random.Random(seed).randint, **options), st.integers(0, 2**40)
    )


@pytest.mark.parametrize("start", range(0, 4000, 500))
def test_match_equals_the_share_by_share_oracle(start):
    washed = 0
    for seed in range(start, start + 500):
        ledger = draw_ledger(random.Random(seed).randint)
        view = US.match(ledger.acquisitions, ledger.sales)
        assert as_oracle_says(view) == match_share_by_share(ledger), f"seed {seed}"
        washed += any(row.disallowed for row in view.realised)
    assert washed > 50  # the histories do meet the rule


@settings(deadline=None)
@given(ledgers(is_fractional=True))
def test_nothing_is_lost_but_what_an_ira_takes(ledger):
    view = US.match(ledger.acquisitions, ledger.sales)
    reported = sum((row.gain for row in view.realised), D(0))
    lost = sum((row.lost for row in view.realised), D(0))
    pieces = [piece for lot in view.lots.values() for piece in lot.pieces]
    waiting = sum((piece.adjustment for piece in pieces), D(0))
    assert reported == ledger.economic_gain() + lost + waiting
    assert all(row.disallowed >= row.lost >= 0 for row in view.realised)
    assert all(piece.adjustment >= 0 and piece.quantity > 0 for piece in pieces)
    for lot in ledger.acquisitions:
        basis = view.lots.get(lot.lot_id)
        kept = basis.pieces if basis else ()
        assert sum(piece.quantity for piece in kept) == ledger.left(lot.lot_id)
        cost = sum(piece.cost - piece.adjustment for piece in kept)
        assert cost == lot.cost - ledger.sold(lot.lot_id)[1]


@settings(deadline=None)
@given(ledgers(is_fractional=True, accounts=(JOINT, SPOUSE)))
def test_w9_sold_out_households_report_their_economic_gain(ledger):
    end = max(lot.day for lot in ledger.acquisitions) + timedelta(days=400)
    for lot in ledger.acquisitions:
        if ledger.left(lot.lot_id):
            ledger.sell(lot.lot_id, end, ledger.left(lot.lot_id), D("5.55"))
    view = US.match(ledger.acquisitions, ledger.sales)
    assert sum((row.gain for row in view.realised), D(0)) == ledger.economic_gain()


@settings(deadline=None)
@given(ledgers(is_fractional=True), st.randoms(use_true_random=False))
def test_the_order_of_rows_never_matters(ledger, shuffler):
    shuffled = ledger.copy()
    shuffler.shuffle(shuffled.acquisitions)
    shuffler.shuffle(shuffled.sales)
    for regime in (US, get_regime("UK")):
        view = regime.match(ledger.acquisitions, ledger.sales)
        assert regime.match(shuffled.acquisitions, shuffled.sales) == view


@settings(deadline=None)
@given(ledgers(), st.integers(0, 35))
def test_a_purchase_denies_a_loss_exactly_where_buying_is_blocked(ledger, days_later):
    day = max(row.day for row in [*ledger.acquisitions, *ledger.sales])
    day += timedelta(days=days_later)
    blocked = US.find_windows(ledger.acquisitions, ledger.sales, day).buy_blocked
    before = denied(ledger)
    for group in ("VTI", "AGG"):
        after = ledger.copy()
        after.buy(day, 1000, 1000, SPOUSE, group)
        assert (denied(after) > before) == (group in blocked)
        assert blocked.get(group, day) >= day
        if group in blocked:
            late = ledger.copy()
            late.buy(blocked[group] + timedelta(days=1), 1000, 1000, SPOUSE, group)
            assert denied(late) == before


@settings(deadline=None)
@given(ledgers(), st.integers(0, 35))
def test_a_loss_is_denied_exactly_where_the_windows_say_so(ledger, days_later):
    day = max(row.day for row in [*ledger.acquisitions, *ledger.sales])
    # The day after, so that no sale of that day changes what is left to replace.
    day += timedelta(days=days_later + 1)
    windows = US.find_windows(ledger.acquisitions, ledger.sales, day)
    for lot in ledger.acquisitions:
        if lot.is_sheltered or not ledger.left(lot.lot_id):
            continue
        after = ledger.copy()
        after.sell(lot.lot_id, day, 1, 0)
        is_washed = is_loss_washed(windows=windows, group=lot.group, lot_id=lot.lot_id)
        assert (denied(after) > denied(ledger)) == is_washed


def denied(ledger):
    view = US.match(ledger.acquisitions, ledger.sales)
    return sum((row.disallowed for row in view.realised), D(0))
