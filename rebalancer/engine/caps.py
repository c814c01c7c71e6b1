"""Which securities a cap on weight counts."""

from rebalancer.domain.kinds import CapKind
from rebalancer.domain.policy import CapTerms
from rebalancer.engine.book import Book


def find_capped(book: Book, cap: CapTerms) -> list[int]:
    """Return the indices of the securities in a cap's asset class, sector, issuer or itself."""
    named = {
        CapKind.ASSET_CLASS: [row.class_name for row in book.securities],
        CapKind.SECTOR: [row.sector for row in book.securities],
        CapKind.ISSUER: [row.issuer for row in book.securities],
        CapKind.SECURITY: [row.symbol for row in book.securities],
    }[cap.kind]
    return [index for index, name in enumerate(named) if name == cap.name]
