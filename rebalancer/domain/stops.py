"""What is said of orders that wait for a stop or a halt: to staff with its reason, else without."""

from collections.abc import Mapping, Sequence

from rebalancer.domain.limits import SwitchScope

WAITS = "Waits: "
STOP_WORDS: Mapping[SwitchScope, str] = {
    SwitchScope.ALL: "All trading is stopped",
    SwitchScope.FIRM: "The firm's trading is stopped",
    SwitchScope.ACCOUNT: "Trading of this account is stopped",
    SwitchScope.SECURITY: "Trading of this security is stopped",
    SwitchScope.BROKER: "Nothing is sent to this broker",
}


def say_stopped(scope: SwitchScope, reason: str) -> str:
    """Return why an order in the scope of a switch waits."""
    return f"{STOP_WORDS[scope]}: {reason}"


def say_halted(symbol: str, reason: str) -> str:
    """Return why an order in a halted security waits."""
    return f"{symbol} is halted: {reason}"


def say_waiting(sentence: str) -> str:
    """Return the reason of an order that may go later."""
    return f"{WAITS}{sentence}"[:300]


def tell_client(order_reason: str, symbol: str) -> str:
    """Return the reason of an order as its client reads it: without what staff wrote of a stop."""
    words = order_reason.removeprefix(WAITS)
    if words == order_reason:
        return order_reason
    if words.startswith((say_halted(symbol, ""), say_stopped(SwitchScope.SECURITY, ""))):
        return f"{WAITS}trading of {symbol} is paused for now."
    if words.startswith(tuple(say_stopped(scope, "") for scope in STOP_WORDS)):
        return f"{WAITS}trading is paused for now."
    return order_reason


def tell_client_paused(symbols: Sequence[str]) -> str:
    """Return what the client is told whose orders wait for these securities."""
    *others, last = symbols
    names = f"{', '.join(others)} and {last}" if others else last
    return f"Trading of {names} is paused for now. Your orders in it wait, and go when it goes on."
