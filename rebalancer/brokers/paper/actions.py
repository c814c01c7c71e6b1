"""Corporate actions at the paper exchange: open orders are cancelled, positions become what they
are to be.
"""

from decimal import Decimal

from portfolios.domain.money import QUANTITY_STEP, round_price
from rebalancer.brokers.paper.exchange import Exchange

REASON = "CORPORATE_ACTION"


def split_shares(
    exchange: Exchange,
    symbol: str,
    *,
    numerator: int,
    denominator: int,
    share_step: Decimal = QUANTITY_STEP,
) -> None:
    """Make `numerator` shares of every `denominator`; less than a step is paid in cash.

    The cash needs a price that the exchange was told; without one the fraction lapses.
    """
    exchange.cancel_open(symbol, REASON)
    ratio = Decimal(numerator) / Decimal(denominator)
    old_price = exchange.record.get_symbol(symbol)[0]
    price = None if old_price is None else round_price(old_price / ratio)
    exchange.ledger.split(symbol, ratio, share_step, price)
    if price is not None:
        exchange.set_price(symbol, price)


def change_symbol(exchange: Exchange, symbol: str, new_symbol: str) -> None:
    """Give a security another symbol; the old one can no longer be traded."""
    exchange.cancel_open(symbol, REASON)
    exchange.ledger.rename(symbol, new_symbol)
    exchange.forbid(symbol)


def pay_dividend(exchange: Exchange, symbol: str, per_share: Decimal) -> None:
    """Pay every holder so much cash per share."""
    exchange.ledger.pay(symbol, per_share, takes_shares=False)


def merge_for_cash(exchange: Exchange, symbol: str, per_share: Decimal) -> None:
    """Take every share for cash; the security can no longer be traded."""
    exchange.cancel_open(symbol, REASON)
    exchange.ledger.pay(symbol, per_share, takes_shares=True)
    exchange.forbid(symbol)
