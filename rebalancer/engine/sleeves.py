"""Sleeves: securities that may stand in for one another, directly or through a third."""

import numpy as np

from rebalancer.engine.book import Book
from rebalancer.engine.columns import Ints


def index_sleeves(book: Book) -> Ints:
    """Return, by security, a number shared with what it may stand in for, or be stood in by."""
    sleeve = list(range(len(book.securities)))

    def find(index: int) -> int:
        while sleeve[index] != index:
            index = sleeve[index]
        return index

    for index, row in enumerate(book.securities):
        for security_id in (*row.substitutes, *row.sheltered_substitutes):
            other = book.index_of_security.get(security_id)
            if other is not None:
                low, high = sorted((find(index), find(other)))
                sleeve[high] = low
    return np.array([find(index) for index in range(len(sleeve))], np.int64)
