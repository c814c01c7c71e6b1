"""Why a trade is proposed, in one sentence that a client understands."""

from collections.abc import Mapping
from decimal import Decimal

from portfolios.domain.money import ZERO
from rebalancer.domain.kinds import TradeReason


def explain_trade(
    *,
    reason: TradeReason,
    symbol: str,
    class_name: str,
    row: Mapping[str, object] | None,
    gain: Decimal,
    is_taxable: bool,
) -> str:
    """Return the sentence for one trade; `row` is its asset class before and after, in weights."""
    moves = _describe_moves(class_name, row)
    sentences = {
        TradeReason.OVERWEIGHT: moves,
        TradeReason.UNDERWEIGHT: moves,
        TradeReason.NOT_IN_MODEL: f"{symbol} is not in the model portfolio. {moves}",
        TradeReason.SUBSTITUTE: f"{symbol} stands in for a security that is not wanted. {moves}",
        TradeReason.EXCLUDED: f"{symbol} is on the household's list of exclusions.",
        TradeReason.RAISE_CASH: "Raises the cash that is needed soon.",
        TradeReason.INVEST_CASH: f"Puts cash that came in to work. {moves}",
        TradeReason.HARVEST: f"Sells {symbol} at a loss, for the tax that this saves. {moves}",
        TradeReason.PARTNER: f"{symbol} takes the place of what is sold at a loss. {moves}",
        TradeReason.LOCATION: (
            f"Moves {symbol} between accounts, to where it is taxed least. {moves}"
        ),
    }
    return f"{sentences[reason]}{_describe_gain(gain, is_taxable=is_taxable)}".strip()


def _describe_moves(class_name: str, row: Mapping[str, object] | None) -> str:
    if row is None:
        return f"{class_name} is not part of the target."
    before, after, target = (Decimal(str(row[key])) for key in ("before", "after", "target"))
    if abs(before - after) < Decimal("0.0005"):
        return f"Leaves {class_name} at {after:.1%} (target {target:.1%})."
    return f"Takes {class_name} from {before:.1%} to {after:.1%} (target {target:.1%})."


def _describe_gain(gain: Decimal, *, is_taxable: bool) -> str:
    if gain == ZERO:
        return ""
    kind = "gain" if gain > 0 else "loss"
    if not is_taxable:
        return f" Realises a {kind}, not taxed in this account."
    return " Realises a gain, which is taxed." if gain > 0 else " Realises a loss, which saves tax."
