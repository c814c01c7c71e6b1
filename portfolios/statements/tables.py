"""Delimited text as rows with their physical lines; cells found by the names in a header row."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from portfolios.statements.cells import CellRefused
from portfolios.statements.text import StatementUnreadable

ROWS_MAX = 200_000
COLUMNS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of one record, without blanks at its end; `line` is where it starts in the file."""

    line: int
    cells: tuple[str, ...]
    follows_blank: bool

    @property
    def is_remark(self) -> bool:
        """Whether this is a single text standing apart, as footers and titles do."""
        return len(self.cells) == 1 and (self.follows_blank or self.line == 1)


@dataclass(frozen=True, slots=True)
class Header:
    """Where the wanted columns stand: our name for each to its place in a row."""

    places: Mapping[str, int]
    width: int

    def cell(self, row: Row, name: str) -> str:
        """Return the text under `name`; blank when the file lacks that column."""
        place = self.places.get(name)
        return "" if place is None or place >= len(row.cells) else row.cells[place].strip()

    def check_width(self, row: Row) -> None:
        """Refuse a row with more cells than columns: every value may stand under a wrong name.

        :raises CellRefused: naming both counts.
        """
        if len(row.cells) > self.width:
            raise CellRefused(f"has {len(row.cells)} cells, but the header names {self.width}")


def read_rows(text: str, delimiter: str) -> list[Row]:
    """Split text into non-blank rows.

    :raises StatementUnreadable: for a broken quote, too many rows or columns; naming the line.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    line, follows_blank = 1, False
    try:
        for cells in reader:
            while cells and not cells[-1].strip():
                cells.pop()
            if cells:
                _check_size(rows, cells, line)
                rows.append(Row(line, tuple(cells), follows_blank))
            follows_blank = not cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise StatementUnreadable(f"line {line} is not valid CSV: {error}") from None
    return rows


def _check_size(rows: Sequence[Row], cells: Sequence[str], line: int) -> None:
    if len(rows) >= ROWS_MAX:
        raise StatementUnreadable(f"line {line}: more than {ROWS_MAX:,} rows")
    if len(cells) > COLUMNS_MAX:
        raise StatementUnreadable(
            f"line {line} has {len(cells):,} columns; at most {COLUMNS_MAX:,}"
        )


def find_header(
    row: Row, columns: Mapping[str, tuple[str, ...]], required: set[str]
) -> Header | None:
    """Return the header that `row` is, or None when it does not name every required column.

    `columns` maps our name to the names that brokers print, in lower case, any of which will do.

    :raises StatementUnreadable: when two columns of the row bear a wanted name.
    """
    known = {alias: name for name, aliases in columns.items() for alias in aliases}
    found = [(place, known.get(normalise(cell))) for place, cell in enumerate(row.cells)]
    if not required <= {name for _place, name in found}:
        return None
    places: dict[str, int] = {}
    for place, name in found:
        if name is None:
            continue
        if name in places:
            twice = row.cells[place].strip()
            raise StatementUnreadable(f"line {row.line}: the header names {twice!r} twice")
        places[name] = place
    return Header(places, len(row.cells))


def normalise(cell: str) -> str:
    """Return a column name in lower case with single spaces, for comparing."""
    return " ".join(cell.split()).casefold()
