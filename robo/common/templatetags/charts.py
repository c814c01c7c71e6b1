"""One tag that puts a chart on a page: the data for charts.js, and the same data as a table.

The table is what screen readers, printers and browsers without scripts get. The shape of the data
for each kind is written down at the head of `robo/static/robo/chart-kinds.js`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

from django import template

from robo.common.templatetags import figures

register = template.Library()

# Beyond this many dates a table shows the last one of each month.
TABLE_ROWS_MAX = 60


class ChartTable(NamedTuple):
    """The chart in words and figures: one header per column, the first cell of a row its name."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]


def _plain(value: object) -> Any:
    """Return what JSON can carry: Decimals as numbers, dates as ISO text, gaps as null.

    A chart is a picture, so a float is precise enough here; a NaN would not be JSON at all.
    """
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.isoformat() if isinstance(value, date) else value


def _formatter(data: Mapping[str, Any]) -> Callable[[object], str]:
    """Return how the figures of a chart are shown, by its `format` and `currency`."""
    kind = data.get("format", "money")
    if kind == "percent":
        return figures.percent
    if kind == "number":
        return figures.number
    return partial(figures.money, currency=data.get("currency") or "USD")


def _month_ends(dates: Sequence[str]) -> list[int]:
    """Return the positions to show in a table: all, or the last date of each month if many."""
    if len(dates) <= TABLE_ROWS_MAX:
        return list(range(len(dates)))
    return [
        position
        for position, day in enumerate(dates)
        if position + 1 == len(dates) or dates[position + 1][:7] != day[:7]
    ]


def _by_date(
    dates: Sequence[str],
    columns: Sequence[tuple[str, Sequence[Any]]],
    show: Callable[[object], str],
) -> ChartTable:
    return ChartTable(
        headers=["Date", *(label for label, _values in columns)],
        rows=[
            [figures.day(dates[position]), *(show(values[position]) for _label, values in columns)]
            for position in _month_ends(dates)
        ],
    )


def _allocation(data: Mapping[str, Any]) -> ChartTable:
    rows = data["rows"]
    has_after = any(row.get("after") is not None for row in rows)
    headers = ["Asset class", "Now", *(["After"] if has_after else []), "Target", "Band", "State"]
    return ChartTable(
        headers=headers,
        rows=[
            [
                row["label"],
                figures.percent(row["current"]),
                *([figures.percent(row.get("after"))] if has_after else []),
                figures.percent(row["target"]),
                f"{figures.percent(row['low'])} – {figures.percent(row['high'])}",
                "Out of band" if row.get("breached") else "In band",
            ]
            for row in rows
        ],
    )


def _value(data: Mapping[str, Any]) -> ChartTable:
    columns = [("Value", data["values"])]
    if data.get("invested"):
        columns.append(("Net deposits", data["invested"]))
    if data.get("benchmark"):
        columns.append((data.get("benchmark_label") or "Benchmark", data["benchmark"]))
    return _by_date(data["dates"], columns, _formatter(data))


def _drift(data: Mapping[str, Any]) -> ChartTable:
    columns = [(series["label"], series["values"]) for series in data["series"]]
    return _by_date(data["dates"], columns, figures.points)


def _donut(data: Mapping[str, Any]) -> ChartTable:
    show = _formatter(data)
    return ChartTable(
        headers=["Part", "Weight", "Value"],
        rows=[
            [row["label"], figures.percent(row["weight"]), show(row.get("value"))]
            for row in data["rows"]
        ],
    )


def _lines(data: Mapping[str, Any]) -> ChartTable:
    columns = [(series["label"], series["values"]) for series in data["series"]]
    return _by_date(data["dates"], columns, _formatter(data))


def _fan(data: Mapping[str, Any]) -> ChartTable:
    names = [
        ("Poor (5 in 100 are worse)", "p5"),
        ("Below middle", "p25"),
        ("Middle", "p50"),
        ("Above middle", "p75"),
        ("Good (5 in 100 are better)", "p95"),
    ]
    columns = [(label, data[key]) for label, key in names if data.get(key)]
    return _by_date(data["dates"], columns, _formatter(data))


def _bars(data: Mapping[str, Any]) -> ChartTable:
    show = _formatter(data)
    return ChartTable(
        headers=["", data.get("value_label") or "Value"],
        rows=[[row["label"], show(row["value"])] for row in data["rows"]],
    )


TABLES: Mapping[str, Callable[[Mapping[str, Any]], ChartTable]] = {
    "allocation": _allocation,
    "value": _value,
    "drift": _drift,
    "donut": _donut,
    "lines": _lines,
    "fan": _fan,
    "bars": _bars,
}


@register.inclusion_tag("_includes/chart.html")
def chart(
    kind: str, data: Mapping[str, Any], title: str, caption: str = "", size: str = ""
) -> dict[str, object]:
    """Draw a chart: `{% chart "allocation" data title="Allocation" size="sm" %}`.

    :raises KeyError: for a kind that does not exist, or data that lacks a required key.
    """
    plain = _plain(data)
    table = TABLES[kind](plain)
    return {
        "is_empty": not table.rows,
        "kind": kind,
        "data": plain,
        "title": title,
        "caption": caption,
        "size": size,
        "table": table,
    }


@register.inclusion_tag("_includes/chart.html")
def chart_from(
    kind: str, url: str, title: str, caption: str = "", size: str = ""
) -> dict[str, object]:
    """Draw a chart whose data is fetched from an address that answers JSON of the same shape.

    The page must show the figures in a table of its own.
    """
    return {"kind": kind, "url": url, "title": title, "caption": caption, "size": size}
