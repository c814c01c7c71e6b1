"""Random households for the proofs of the engine, every limit and wish included, from one seed.

Drawn as rows, so that a proof may shuffle, scale or change them before a Book is built.
"""

import random
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from accounts.domain.roles import TaxStatus
from portfolios.domain.kinds import Side
from portfolios.domain.tax.lot_methods import LotMethod
from rebalancer.domain.household import HouseholdTerms
from rebalancer.domain.kinds import (
    BandLevel,
    BandMeasure,
    CapKind,
    Destination,
    DriftMeasure,
    Mode,
    Trigger,
)
from rebalancer.domain.policy import CapTerms, PolicyTerms
from rebalancer.engine.book import (
    EXCLUDED,
    NO_BUY,
    NO_SELL,
    AccountRow,
    Book,
    LockRow,
    LotRow,
    ModelRow,
    RecentTradeRow,
    SecurityRow,
    build_book,
)
from tests.rebalancer import cases

TODAY = cases.TODAY
CENT = Decimal("0.01")
SHARE = Decimal("0.00000001")
HOME = 1


@dataclass(frozen=True)
class Drawn:
    """One household as rows; `mode` is what is asked of the engine, None for its policies' own."""

    seed: int
    securities: tuple[SecurityRow, ...]
    models: tuple[ModelRow, ...]
    policies: tuple[PolicyTerms, ...]
    household: HouseholdTerms
    accounts: tuple[AccountRow, ...]
    lots: tuple[LotRow, ...]
    locks: tuple[LockRow, ...]
    recent_trades: tuple[RecentTradeRow, ...]
    covariance: dict[tuple[int, int], float] | None
    mode: Mode | None

    def build(self) -> Book:
        """Return the Book of these rows."""
        return build_book(
            price_date=TODAY,
            securities=self.securities,
            models=self.models,
            policies=self.policies,
            households=[self.household],
            accounts=self.accounts,
            lots=self.lots,
            locks=self.locks,
            recent_trades=self.recent_trades,
            covariance=self.covariance,
        )

    def policy_of(self, row: AccountRow) -> PolicyTerms:
        """Return the policy that an account follows."""
        return next(policy for policy in self.policies if policy.policy_id == row.policy_id)

    def model_of(self, row: AccountRow) -> ModelRow:
        """Return the model that an account follows."""
        return next(model for model in self.models if model.version_id == row.model_version_id)

    def security(self, security_id: int) -> SecurityRow:
        """Return a security's row."""
        return next(row for row in self.securities if row.security_id == security_id)

    def lots_of(self, account_id: int) -> list[LotRow]:
        """Return the lots of one account."""
        return [row for row in self.lots if row.account_id == account_id]

    def codes_of(self, account_id: int) -> dict[int, int]:
        """Return an account's wishes as lock codes by security id."""
        codes: dict[int, int] = {}
        for row in self.locks:
            if row.account_id == account_id:
                codes[row.security_id] = codes.get(row.security_id, 0) | row.code
        return codes

    def value_of(self, account_id: int) -> Decimal:
        """Return what an account is worth, cash included."""
        cash = next(row.cash for row in self.accounts if row.account_id == account_id)
        return cash + sum(
            (row.quantity * self.price(row.security_id) for row in self.lots_of(account_id)),
            Decimal(0),
        )

    def price(self, security_id: int) -> Decimal:
        """Return a security's price, which every drawn one has."""
        price = self.security(security_id).price
        assert price is not None
        return price


def draw(seed: int, **fixed: object) -> Drawn:
    """Return the household of a seed; `fixed` puts policy terms in place of what is drawn."""
    dice = random.Random(seed)
    count = dice.randint(2, 8)
    securities = tuple(_draw_security(dice, number, count) for number in range(1, count + 1))
    models = tuple(_draw_model(dice, version, count) for version in range(1, dice.choice([2, 3])))
    policies = tuple(
        replace(_draw_policy(dice, number, securities), **fixed)
        for number in range(1, dice.choice([2, 2, 3]))
    )
    household = _draw_household(dice)
    accounts, lots, locks = [], [], []
    for account_id in range(1, dice.choice([1, 1, 2, 2, 3, 4]) + 1):
        size = Decimal(dice.choice([900, 20_000, 20_000, 150_000, 150_000, 2_000_000]))
        accounts.append(_draw_account(dice, account_id, size, len(models), len(policies)))
        lots += _draw_lots(dice, account_id, size, securities, len(lots) + 1)
        locks += [
            LockRow(account_id, security_id, dice.choice([NO_BUY, NO_SELL, EXCLUDED]))
            for security_id in range(1, count + 1)
            if dice.random() < 0.08
        ]
    return Drawn(
        seed=seed,
        securities=securities,
        models=models,
        policies=policies,
        household=household,
        accounts=tuple(accounts),
        lots=tuple(lots),
        locks=tuple(locks),
        recent_trades=tuple(
            _draw_recent(dice, count) for _ in range(dice.choice([0, 0, 0, 1, 2, 3]))
        ),
        covariance=_draw_covariance(dice, count)
        if any(row.drift_measure is DriftMeasure.RISK for row in policies)
        else None,
        mode=dice.choice([None, None, *Mode]),
    )


def _between(dice: random.Random, low: float, high: float, places: int) -> Decimal:
    return Decimal(str(round(dice.uniform(low, high), places)))


def _draw_security(dice: random.Random, number: int, count: int) -> SecurityRow:
    others = [other for other in range(1, count + 1) if other != number]
    substitutes = tuple(dice.sample(others, dice.choice([0, 1, 1, min(2, len(others))])))
    return cases.security(
        number,
        f"S{number}",
        f"class {dice.randint(1, 3)}",
        str(_between(dice, 1, dice.choice([20, 120, 600]), 2)),
        share_step=Decimal(dice.choice(["1", "1", "1", "0.001", "0.00000001", "10"])),
        half_spread_bps=Decimal(dice.choice(["0", "1.5", "5", "30"])),
        substitutes=substitutes,
        sheltered_substitutes=tuple(dice.sample(others, 1)) if dice.random() < 0.2 else (),
        identical_group=dice.choice(["", "", "", "same one", "same two"]),
        sector=dice.choice(["", "tech", "energy"]),
        issuer=dice.choice(["", "house"]),
        is_buyable=dice.random() > 0.05,
        daily_volume=Decimal(dice.choice([20_000, 1_000_000])) if dice.random() < 0.3 else None,
        volatility=_between(dice, 0.04, 0.4, 2) if dice.random() < 0.5 else None,
        qualified_yield=Decimal(dice.choice(["0", "0.02"])),
        ordinary_yield=Decimal(dice.choice(["0", "0.04"])),
    )


def _draw_model(dice: random.Random, version: int, count: int) -> ModelRow:
    cash = Decimal(dice.choice(["0", "0.01", "0.02", "0.10"]))
    points = [dice.choice([0, 1, 2, 5, 9]) for _ in range(count)]
    points[dice.randrange(count)] += 1
    parts = [(Decimal(p) * (1 - cash) / sum(points)).quantize(SHARE) for p in points]
    parts[points.index(max(points))] += 1 - cash - sum(parts)
    weights = tuple((i, part) for i, part in enumerate(parts, start=1) if part > 0)
    return ModelRow(version, f"Model {version}", cash, weights)


def _draw_policy(
    dice: random.Random, policy_id: int, securities: tuple[SecurityRow, ...]
) -> PolicyTerms:
    names = {
        CapKind.ASSET_CLASS: sorted({row.class_name for row in securities}),
        CapKind.SECTOR: ["tech", "energy"],
        CapKind.ISSUER: ["house"],
        CapKind.SECURITY: [row.symbol for row in securities],
    }
    kinds = [dice.choice(list(CapKind)) for _ in range(dice.choice([0, 0, 0, 1, 2]))]
    return cases.policy(
        policy_id=policy_id,
        trigger=Trigger.CALENDAR,
        band_level=dice.choice(list(BandLevel)),
        band_measure=dice.choice(list(BandMeasure)),
        absolute_band=Decimal(dice.choice(["0.01", "0.05"])),
        destination=dice.choice(list(Destination)),
        min_trade_amount=Decimal(dice.choice(["0", "1", "50", "500"])),
        cash_floor_amount=Decimal(dice.choice(["0", "0", "100", "2500"])),
        willingness=Decimal(dice.choice(["0.005", "0.025", "0.10", "5"])),
        drift_measure=DriftMeasure.RISK if dice.random() < 0.12 else DriftMeasure.WEIGHT,
        hurdle_bps=Decimal(dice.choice(["0", "2"])),
        ticket_price=Decimal(dice.choice(["0", "0", "3"])),
        commission_fixed=Decimal(dice.choice(["0", "0", "0", "4.95"])),
        commission_bps=Decimal(dice.choice(["0", "0", "10"])),
        turnover_max=Decimal(dice.choice(["0.02", "0.15", "0.5"])) if dice.random() < 0.2 else None,
        caps=tuple(
            CapTerms(kind, dice.choice(names[kind]), Decimal(dice.choice(["0.05", "0.3", "0.6"])))
            for kind in kinds
        ),
        lot_method=LotMethod.LEAST_TAX,
        harvests_losses=dice.random() < 0.4,
        hold_for_long_term_days=dice.choice([0, 0, 45]),
        transition_years=3 if dice.random() < 0.1 else 0,
        transition_start_year=2025,
    )


def _draw_household(dice: random.Random) -> HouseholdTerms:
    money = [0, 0, -8_000, 15_000]
    is_british = dice.random() < 0.2
    return cases.household(
        HOME,
        short_term_rate=Decimal("0.24") if is_british else Decimal("0.37"),
        long_term_rate=Decimal("0.24") if is_british else Decimal("0.2"),
        regime="UK" if is_british else "US",
        year_short_gain=Decimal(dice.choice(money)),
        year_long_gain=Decimal(dice.choice(money)),
        carried_short_loss=Decimal(dice.choice([0, 0, 0, 5_000])),
        carried_long_loss=Decimal(dice.choice([0, 0, 0, 20_000])),
        gains_budget=Decimal(dice.choice([0, 500, 20_000])) if dice.random() < 0.25 else None,
        realised_share=Decimal(dice.choice(["0", "0", "0.6"])),
        is_together=dice.random() < 0.35,
    )


def _draw_account(
    dice: random.Random, account_id: int, size: Decimal, models: int, policies: int
) -> AccountRow:
    share = Decimal(dice.choice(["0", "0.003", "0.02", "0.02", "0.3", "1.5"]))
    need = Decimal(dice.choice(["0"] * 12 + ["0.05", "0.05", "0.4", "2"]))
    return cases.account(
        account_id,
        str((size * share * _between(dice, 0.5, 1, 4)).quantize(CENT)),
        household_id=HOME,
        tax_status=dice.choice([TaxStatus.TAXABLE, TaxStatus.TAXABLE, *TaxStatus]),
        need_amount=(size * need).quantize(CENT),
        model_version_id=dice.randint(1, models),
        policy_id=dice.randint(1, policies),
        is_frozen=dice.random() < 0.06,
    )


def _draw_lots(
    dice: random.Random,
    account_id: int,
    size: Decimal,
    securities: tuple[SecurityRow, ...],
    first_id: int,
) -> list[LotRow]:
    lots = []
    for row in securities:
        if dice.random() < 0.25:
            continue
        amount = size / len(securities) * _between(dice, 0.1, 2.2, 4)
        parts = dice.choice([1, 1, 2, 3, 4])
        for _ in range(parts):
            assert row.price is not None
            quantity = (amount / parts / row.price).quantize(SHARE)
            if dice.random() < 0.7:
                quantity = quantity.to_integral_value()
            if quantity <= 0:
                quantity = Decimal(dice.choice(["0.00000001", "0.5", "1"]))
            cost = quantity * row.price * _between(dice, 0.4, 1.5, 4)
            age = dice.choice([dice.randint(0, 61), dice.randint(62, 420), dice.randint(400, 4000)])
            lots.append(
                LotRow(
                    account_id=account_id,
                    lot_id=first_id + len(lots),
                    security_id=row.security_id,
                    quantity=quantity,
                    cost=cost.quantize(CENT),
                    acquired_date=TODAY - timedelta(days=age),
                )
            )
    return lots


def _draw_recent(dice: random.Random, count: int) -> RecentTradeRow:
    side = dice.choice(list(Side))
    is_loss = side is Side.SELL and dice.random() < 0.7
    return RecentTradeRow(
        household_id=HOME,
        security_id=dice.randint(1, count),
        side=side,
        trade_date=TODAY - timedelta(days=dice.choice([0, 1, 29, 30, 31, 32, dice.randint(0, 61)])),
        is_taxable=dice.random() < 0.7,
        gain=Decimal(-750) if is_loss else Decimal(0),
    )


def _draw_covariance(dice: random.Random, count: int) -> dict[tuple[int, int], float]:
    """Return the covariance of one market factor, and of each security's own noise."""
    beta = [dice.uniform(0.2, 1.4) for _ in range(count)]
    noise = [dice.uniform(0.02, 0.2) for _ in range(count)]
    return {
        (i + 1, j + 1): beta[i] * beta[j] * 0.16**2 + (noise[i] ** 2 if i == j else 0.0)
        for i in range(count)
        for j in range(count)
    }
