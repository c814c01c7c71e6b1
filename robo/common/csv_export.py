"""CSV that a spreadsheet shows and does not carry out: text that would be a formula is text.

A number goes out as a number, negative ones too; everything else is text, and gets an apostrophe in
front where a spreadsheet would otherwise reckon.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal

from django.http import HttpResponse

from robo.common.errors import Refused

ROWS_MAX = 50_000
# Full-width signs are formulas too, where people write in full width.
_FORMULA_STARTS = frozenset("=+-@\t\r\n＝＋－＠")

Cell = str | int | Decimal | date | datetime | None


class ExportTooLong(Refused):
    """More rows than one file holds."""


def answer_csv(
    *, file_name: str, header: Sequence[str], rows: Iterable[Sequence[Cell]]
) -> HttpResponse:
    """Return a download of these rows, whole: whose they may be is settled before it begins.

    :raises ExportTooLong: beyond `ROWS_MAX` rows.
    """
    out = io.StringIO(newline="")
    # Without the mark some spreadsheets take UTF-8 for something else.
    out.write("\ufeff")
    writer = csv.writer(out)
    writer.writerow([write_cell(name) for name in header])
    for count, row in enumerate(rows, start=1):
        if count > ROWS_MAX:
            raise ExportTooLong(f"A file holds {ROWS_MAX:,} rows: narrow down what you want.")
        writer.writerow([write_cell(cell) for cell in row])
    answer = HttpResponse(out.getvalue(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return answer


def write_cell(cell: Cell) -> str:
    """Return a cell as text; a number without exponent, an instant in ISO 8601."""
    if cell is None:
        return ""
    if isinstance(cell, Decimal):
        return f"{cell:f}"
    if isinstance(cell, int):
        return str(cell)
    if isinstance(cell, date):
        return cell.isoformat()
    text = cell.replace("\x00", "")
    return f"'{text}" if text.strip(" ")[:1] in _FORMULA_STARTS and text.strip(" ") else text
