"""The shares that accounts of the demo firm begin with: some placed for a reason, most by lot."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from portfolios.domain.lots import OpeningLot
from rebalancer.management import demo_firm as demo
from rebalancer.management import demo_market

D = Decimal


@dataclass(frozen=True)
class LotMaker:
    """Makes opening lots at today's closes; the same dice give the same lots."""

    dice: Random
    closes: Mapping[str, Decimal]
    security_ids: Mapping[str, int]

    def place(
        self, household: demo.DemoHousehold, place: int, opened: date
    ) -> tuple[list[OpeningLot], Decimal]:
        """Return the lots that an account holds for a reason, and what they are worth."""
        lots, held = [], D(0)
        for row in household.lots:
            if row.account != place:
                continue
            close = self.closes[row.symbol]
            quantity = (row.value / close).quantize(D(1))
            held += quantity * close
            lots.append(
                OpeningLot(
                    security_id=self.security_ids[row.symbol],
                    quantity=quantity,
                    cost=(quantity * close / D(str(1 + row.gain))).quantize(D("0.01")),
                    acquired_date=opened - timedelta(days=row.age_days),
                )
            )
        return lots, held

    def draw(
        self,
        account: demo.DemoAccount,
        weights: Mapping[str, str],
        excluded: set[str],
        opened: date,
        *,
        age_min: int = 0,
    ) -> tuple[list[OpeningLot], Decimal]:
        """Draw lots near the model, bought over years; return them and what they are worth."""
        securities_by_symbol = {row.symbol: row for row in demo_market.SECURITIES}
        lots, held = [], D(0)
        for symbol, weight in weights.items():
            row = securities_by_symbol[symbol]
            bought = row.substitutes[0] if set(row.themes) & excluded else symbol
            tilt = account.tilt * demo_market.TILT.get(row.class_code, 0)
            share = (float(weight) + tilt) * self.dice.uniform(0.97, 1.02)
            count = self.dice.randint(1, 4)
            for _ in range(count):
                amount = D(account.value) * D(str(round(share / count, 6)))
                quantity = (amount / self.closes[bought]).quantize(D(1))
                if quantity <= 0:
                    continue
                age = max(self.dice.randint(20, 2200), age_min)
                gain = self.dice.uniform(-0.18, 0.06 if age < 400 else 0.55)
                unit_cost = self.closes[bought] / D(str(round(1 + gain, 4)))
                held += quantity * self.closes[bought]
                lots.append(
                    OpeningLot(
                        security_id=self.security_ids[bought],
                        quantity=quantity,
                        cost=(quantity * unit_cost).quantize(D("0.01")),
                        acquired_date=opened - timedelta(days=age),
                    )
                )
        return lots, held
