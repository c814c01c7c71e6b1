"""Twelve ways in which cash breaks rebalancers, each a small Book with a name.

Prices, lots and fees are chosen so that the right answer can be worked out by hand to the cent.
"""

from datetime import date

from rebalancer.domain.kinds import BandLevel
from rebalancer.engine.book import EXCLUDED, NO_SELL, Book, LockRow
from tests.rebalancer import cases
from tests.rebalancer.cases import D, account, book, household, lot, model, policy, security

PLAIN = {"half_spread_bps": D(0)}
BY_SECURITY = {"band_level": BandLevel.SECURITY, "min_trade_amount": D(0)}


def _two_funds(price_one: str, price_two: str, **more: object) -> list:
    terms = {**PLAIN, **more}
    return [
        security(1, "STOCK", "Stocks", price_one, **terms),
        security(2, "BOND", "Bonds", price_two, **terms),
    ]


def _half_and_half(
    *lots: tuple[int, str], cash: str, cash_weight: str = "0", terms=None, **parts
) -> Book:
    """Return one untaxed account of two funds at 10 a share that are wanted in equal parts."""
    each = str((1 - D(cash_weight)) / 2)
    return book(
        **{
            "securities": _two_funds("10", "10"),
            "models": [model(cash_weight, (1, each), (2, each))],
            "policies": [policy(**{**BY_SECURITY, **(terms or {})})],
            "accounts": [account(cash=cash, is_taxable=False)],
            "lots": [lot(n, i, q, "1") for n, (i, q) in enumerate(lots, start=1)],
            **parts,
        }
    )


def deposit_inside_the_band() -> Book:
    """Return balanced funds and a deposit too small to breach any band: 1,000 on 10,000."""
    return _half_and_half((1, "500"), (2, "500"), cash="1000")


def deposit_beside_drift() -> Book:
    """Return methods' D4: 6,000, 2,500 and 1,500 for 50/30/20, and 1,000 that came in."""
    return cases.make_book(
        ["10", "10", "10"], ["0.5", "0.3", "0.2"], ["6000", "2500", "1500"], cash="1000"
    )


def cash_outside_the_target() -> Book:
    """Return an account that is all cash, 10,000, where the model wants 2 % of it in cash."""
    return _half_and_half(cash="10000", cash_weight="0.02")


def buys_after_limited_sells() -> Book:
    """Return a fund far over target of which nothing may be sold, and 105 in cash."""
    return _half_and_half((1, "900"), (2, "100"), cash="105", locks=[LockRow(1, 1, NO_SELL)])


def buffer_of_a_tiny_account() -> Book:
    """Return an account of 31.07 in all that should keep 2 %: 62 cents."""
    return _half_and_half((1, "1"), (2, "1"), cash="11.07", cash_weight="0.02")


def dividend_of_today_reinvested() -> Book:
    """Return a fund at a loss of 4,000 whose dividend bought 0.5 shares of it this morning."""
    return book(
        securities=[
            security(1, "STOCK", "Stocks", "60", substitutes=(2,), **PLAIN),
            security(2, "TWIN", "Stocks", "60", **PLAIN),
        ],
        models=[model("0", (1, "1"))],
        policies=[policy(harvests_losses=True, **BY_SECURITY)],
        accounts=[account(cash="0")],
        lots=[
            lot(1, 1, "100", "10000", acquired=date(2024, 3, 4)),
            lot(2, 1, "0.5", "30", acquired=cases.TODAY),
        ],
    )


def dividend_in_cash_today() -> Book:
    """Return balanced funds and a dividend of 12.34: more than a share, less than a trade."""
    return _half_and_half((1, "500"), (2, "500"), cash="12.34", terms={"min_trade_amount": D(50)})


def spread_on_the_last_cent() -> Book:
    """Return 1,000 for 100 shares at 10, whose spread of 30 basis points cash must pay as well."""
    return book(
        securities=[security(1, "STOCK", "Stocks", "10", half_spread_bps=D(30))],
        models=[model("0", (1, "1"))],
        policies=[policy(**BY_SECURITY)],
        accounts=[account(cash="1000", is_taxable=False)],
        lots=[],
    )


def commission_of_a_withdrawal() -> Book:
    """Return 500 needed from funds at 10 a share, where each sale costs 4.95 in cash."""
    return _half_and_half(
        (1, "500"),
        (2, "500"),
        cash="0",
        terms={"commission_fixed": D("4.95")},
        accounts=[account(cash="0", is_taxable=False, need_amount=D(500))],
    )


def need_beyond_the_account() -> Book:
    """Return 25,000 needed from an account of 10,000.01."""
    return _half_and_half(
        (1, "500"),
        (2, "500"),
        cash="0.01",
        accounts=[account(cash="0.01", is_taxable=False, need_amount=D(25_000))],
    )


def overdrawn_account() -> Book:
    """Return balanced funds whose cash stands 155 below zero after a fee."""
    return _half_and_half((1, "500"), (2, "500"), cash="-155")


def cash_of_the_other_account() -> Book:
    """Return two accounts managed as one: all cash in the first, all funds in the second."""
    return book(
        securities=_two_funds("10", "10"),
        models=[model("0", (1, "0.5"), (2, "0.5"))],
        policies=[policy(**BY_SECURITY)],
        households=[household(1, is_together=True)],
        accounts=[
            account(1, "5000", household_id=1, is_taxable=False),
            account(2, "0", household_id=1, is_taxable=False),
        ],
        lots=[lot(1, 1, "500", "1", account_id=2)],
    )


def proceeds_of_an_exclusion() -> Book:
    """Return no cash, and a fund worth 3,000 that must go; what it brings buys the other."""
    return _half_and_half(
        (1, "700"),
        (2, "300"),
        cash="0",
        terms={"commission_fixed": D("4.95")},
        locks=[LockRow(1, 2, EXCLUDED)],
    )
