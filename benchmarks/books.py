"""Random Books for measurements: drifted accounts of one model, with lots of all ages."""

from datetime import date, timedelta
from decimal import Decimal

import numpy as np

from rebalancer.domain.kinds import BandLevel, BandMeasure, Destination, Schedule, Trigger
from rebalancer.domain.policy import PolicyTerms
from rebalancer.engine.book import AccountRow, Book, LotRow, ModelRow, SecurityRow, build_book

TODAY = date(2026, 11, 20)
SECURITY_COUNT, LOTS_PER_HOLDING = 12, 4
POLICY = PolicyTerms(
    policy_id=1,
    trigger=Trigger.THRESHOLD,
    schedule=Schedule.DAILY,
    cron_line="",
    band_level=BandLevel.ASSET_CLASS,
    band_measure=BandMeasure.ABSOLUTE,
    absolute_band=Decimal("0.03"),
    relative_band=Decimal("0.20"),
    band_floor=Decimal("0.01"),
    destination=Destination.TARGET,
    min_trade_amount=Decimal(50),
    cash_floor_amount=Decimal(0),
    need_horizon_days=30,
    approval_hours_max=48,
    price_tolerance=Decimal("0.02"),
)


def draw_book(account_count: int, *, seed: int = 7) -> Book:
    """Return a Book of accounts with 12 securities of 4 lots each, log-normal in value."""
    dice = np.random.default_rng(seed)
    prices = dice.uniform(20, 400, SECURITY_COUNT).round(2)
    weights = np.full(SECURITY_COUNT, round(0.99 / SECURITY_COUNT, 8))
    weights[0] += 0.99 - weights.sum()
    values = np.exp(dice.normal(11, 1.1, account_count)).clip(5_000, 5_000_000)
    shares = (
        values[:, None] * weights * np.exp(dice.normal(0, 0.18, (account_count, SECURITY_COUNT)))
    ) / prices
    gains = np.exp(dice.normal(-0.1, 0.3, (account_count, SECURITY_COUNT, LOTS_PER_HOLDING)))
    ages = dice.integers(1, 3000, (account_count, SECURITY_COUNT, LOTS_PER_HOLDING))
    lots = []
    for account in range(account_count):
        for security in range(SECURITY_COUNT):
            quantity = int(shares[account, security] / LOTS_PER_HOLDING) or 1
            for place in range(LOTS_PER_HOLDING):
                cost = quantity * prices[security] * gains[account, security, place]
                lots.append(
                    LotRow(
                        account_id=account + 1,
                        lot_id=len(lots) + 1,
                        security_id=security + 1,
                        quantity=Decimal(quantity),
                        cost=Decimal(f"{cost:.2f}"),
                        acquired_date=TODAY - timedelta(days=int(ages[account, security, place])),
                    )
                )
    return build_book(
        price_date=TODAY,
        securities=[
            SecurityRow(
                security_id=i + 1,
                symbol=f"S{i + 1:02d}",
                class_name=f"Class {i + 1:02d}",
                price=Decimal(str(prices[i])),
                share_step=Decimal(1),
                half_spread_bps=Decimal(2),
            )
            for i in range(SECURITY_COUNT)
        ],
        models=[
            ModelRow(
                1,
                "Even",
                Decimal("0.01"),
                tuple((i + 1, Decimal(f"{weights[i]:.8f}")) for i in range(SECURITY_COUNT)),
            )
        ],
        policies=[POLICY],
        accounts=[
            AccountRow(
                account_id=account + 1,
                cash=Decimal(f"{values[account] * 0.01:.2f}"),
                books_version=1,
                model_version_id=1,
                policy_id=1,
                is_taxable=bool(account % 3),
                short_term_rate=Decimal("0.35"),
                long_term_rate=Decimal("0.15"),
            )
            for account in range(account_count)
        ],
        lots=lots,
    )
