"""What may be the symbol of a security."""

SYMBOL_LENGTH_MAX = 24


def is_symbol(text: str) -> bool:
    """Return whether `text` can be a symbol: 1 to 24 printable characters without spaces."""
    return 0 < len(text) <= SYMBOL_LENGTH_MAX and text.isprintable() and " " not in text
