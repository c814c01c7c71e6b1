"""The pieces of a page: what they say, that they escape, and that charts always have a table."""

import json
import re
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django import forms
from django.core.paginator import Paginator
from django.template import Context, Template
from django.test import RequestFactory

from robo.common.templatetags import charts, ui

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "</script><img src=x onerror=alert(1)>"


def render(source, request=None, **values):
    template = Template("{% load ui charts %}" + source)
    if request is not None:
        values["request"] = request
    return template.render(Context(values))


def sprite_names():
    sprite = (ROOT / "robo/static/robo/icons.svg").read_text()
    return set(re.findall(r'<symbol id="([^"]+)"', sprite))


def test_every_icon_that_a_template_or_script_names_is_in_the_sprite():
    used = set()
    for path in (ROOT / "templates").rglob("*.html"):
        used |= set(re.findall(r"""{%\s*icon\s+["']([^"']+)["']""", path.read_text()))
        used |= set(re.findall(r"""\bicon=["']([^"']+)["']""", path.read_text()))
    used |= {"sun", "moon", "monitor"}
    assert used
    assert used <= sprite_names()


def test_icon_is_silent_unless_labelled():
    assert 'aria-hidden="true"' in render("{% icon 'check' %}")
    labelled = render("{% icon 'check' label=label %}", label='Done "now"')
    assert 'role="img"' in labelled
    assert 'aria-label="Done &quot;now&quot;"' in labelled


@pytest.mark.parametrize("status", sorted(ui.STATUSES))
def test_status_badges_speak_words(status):
    html = render("{% status_badge status %}", status=status)
    assert ui.STATUSES[status][0] in html
    assert f"status-{ui.STATUSES[status][1]}" in html


def test_only_a_breach_is_red():
    assert {code for code, (_label, tone) in ui.STATUSES.items() if tone == "bad"} == {"BREACHED"}


def test_unknown_status_is_shown_quietly():
    html = render("{% status_badge status %}", status="HALF_DONE")
    assert "Half done" in html
    assert "status-neutral" in html
    assert "—" in render("{% status_badge status %}", status=None)
    assert "<img" not in render("{% status_badge status %}", status=HOSTILE)


@pytest.mark.parametrize(
    ("current", "state"),
    [
        ("0.35", ""),
        ("0.38", ""),
        ("0.3875", "is-near"),
        ("0.40", "is-near"),
        ("0.4001", "is-breached"),
        ("0.30", "is-near"),
        ("0.2999", "is-breached"),
        ("0.99", "is-breached"),
    ],
)
def test_drift_bar_state(current, state):
    drawn = ui.drift_bar(Decimal(current), Decimal("0.35"), Decimal("0.30"), Decimal("0.40"))
    assert drawn["state"] == state
    for key in ("band_x", "band_width", "bar_x", "bar_width"):
        assert 0 <= float(drawn[key]) <= 100
    assert float(drawn["bar_x"]) + float(drawn["bar_width"]) <= 100.01


def test_drift_bar_of_a_band_without_width():
    assert ui.drift_bar(0.0, 0.0, 0.0, 0.0)["state"] == ""
    assert ui.drift_bar(0.01, 0.0, 0.0, 0.0)["state"] == "is-breached"


def test_drift_bar_has_words_for_those_who_cannot_see_it():
    html = render("{% drift_bar 0.45 0.35 0.30 0.40 %}")
    assert "+10.0\u00a0pp from target 35.0%, band 30.0% to 40.0%, out of band" in html


def test_pager_keeps_the_other_query_parameters():
    request = RequestFactory().get("/", {"q": "reed & co", "page": "2"})
    page = Paginator(range(95), 10).get_page(2)
    html = render("{% pager page noun='households' %}", request=request, page=page)
    assert "11–20 of 95 households" in html
    assert "?q=reed+%26+co&amp;page=3" in html
    assert html.count('aria-current="page"') == 1


@pytest.mark.parametrize("count", [0, 1, 10])
def test_a_list_that_fits_on_one_page_has_no_pager(count):
    request = RequestFactory().get("/")
    page = Paginator(range(count), 10).get_page(1)
    assert not render("{% pager page %}", request=request, page=page).strip()


def test_breadcrumbs_end_at_this_page():
    html = render("{% breadcrumbs 'Households' '/h/' name %}", name=HOSTILE)
    assert '<a href="/h/">Households</a>' in html
    assert "<img" not in html
    with pytest.raises(ValueError, match="zip"):
        render("{% breadcrumbs 'Households' 'Reed' %}")


@pytest.mark.parametrize(
    ("fraction", "share"), [("0.4", "0.4000"), (7, "1.0000"), (-1, "0.0000"), ("x", "0.0000")]
)
def test_progress_stays_between_its_ends(fraction, share):
    assert ui.progress(fraction, "Goal")["share"] == share


class OrderForm(forms.Form):
    amount = forms.DecimalField(help_text="In dollars")
    kind = forms.ChoiceField(choices=[("a", "Absolute")], widget=forms.RadioSelect)
    note = forms.CharField(required=False)
    is_read = forms.BooleanField()


def test_fields_tie_label_help_and_errors_together():
    html = render("{% form_fields form %}", form=OrderForm({"amount": "<b>"}))
    assert '<label class="form-label" for="id_amount">Amount' in html
    assert 'aria-describedby="id_amount_help id_amount_errors"' in html
    assert 'id="id_amount_errors"' in html
    assert 'aria-invalid="true"' in html
    assert "(optional)" in html
    assert "<b>" not in html
    assert re.search(r'<input type="radio"[^>]*class="form-check-input', html)


DATES = [date(2026, 1, 2), date(2026, 1, 5)]
SAMPLES = {
    "allocation": {
        "rows": [
            {
                "label": HOSTILE,
                "current": Decimal("0.41"),
                "target": Decimal("0.35"),
                "low": Decimal("0.30"),
                "high": Decimal("0.40"),
                "after": Decimal("0.355"),
                "breached": True,
            }
        ]
    },
    "value": {"dates": DATES, "values": [100.0, float("nan")], "invested": [90, 90]},
    "drift": {
        "dates": DATES,
        "series": [{"label": "Bonds", "values": [0.01, -0.02], "low": -0.05, "high": 0.05}],
    },
    "donut": {"rows": [{"label": "Bonds", "weight": 0.25, "value": Decimal("25000.5")}]},
    "lines": {
        "dates": DATES,
        "series": [{"label": "Bands", "values": [0.1, 0.2]}],
        "format": "percent",
    },
    "fan": {
        "dates": DATES,
        "p5": [1, 1],
        "p25": [2, 2],
        "p50": [3, 3],
        "p75": [4, 4],
        "p95": [5, 5],
        "goal": 4,
    },
    "bars": {"rows": [{"label": "This plan", "value": 12.5}], "format": "number"},
}


@pytest.mark.parametrize("kind", sorted(charts.TABLES))
def test_every_chart_carries_its_data_and_a_table(kind):
    html = render("{% chart kind data title='A chart' %}", kind=kind, data=SAMPLES[kind])
    block = re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)
    assert json.loads(block.group(1))
    assert f'data-chart="{kind}"' in html
    assert html.count("<tr>") >= 2
    assert "<img" not in html
    assert "style=" not in html


def test_every_kind_of_chart_can_be_drawn():
    scripts = "".join(
        (ROOT / "robo/static/robo" / name).read_text()
        for name in ("chart-kinds.js", "chart-kinds-plain.js")
    )
    registered = re.findall(r"Object\.assign\(window\.evenkeelChartKinds, {(.*?)}", scripts)
    names = {name.strip() for group in registered for name in group.split(",")}
    assert names == set(charts.TABLES)


def test_chart_shows_figures_as_the_filters_do():
    html = render("{% chart 'allocation' data title='A' %}", data=SAMPLES["allocation"])
    for words in ("41.0%", "35.5%", "30.0% – 40.0%", "Out of band"):
        assert words in html
    assert "$25,000.50" in render("{% chart 'donut' data title='A' %}", data=SAMPLES["donut"])
    assert "−2.0\u00a0pp" in render("{% chart 'drift' data title='A' %}", data=SAMPLES["drift"])


def test_a_gap_in_the_data_is_null_and_a_dash():
    html = render("{% chart 'value' data title='A' %}", data=SAMPLES["value"])
    assert '"values": [100.0, null]' in html
    assert "—" in html


def test_a_long_series_is_tabled_by_month_end():
    dates = [date(2026, 1, 1) + timedelta(days=number) for number in range(90)]
    table = charts.chart("value", {"dates": dates, "values": list(range(90))}, "A")["table"]
    assert [row[0] for row in table.rows] == ["31 Jan 2026", "28 Feb 2026", "31 Mar 2026"]
    assert table.rows[-1][1] == "$89.00"


@pytest.mark.parametrize(
    ("kind", "data"),
    [("allocation", {"rows": []}), ("drift", {"dates": [], "series": []}), ("bars", {"rows": ()})],
)
def test_an_empty_chart_says_so(kind, data):
    html = render("{% chart kind data title='A' %}", kind=kind, data=data)
    assert "Nothing to show yet." in html
    assert "data-chart" not in html


def test_an_unknown_kind_of_chart_is_refused():
    with pytest.raises(KeyError):
        charts.chart("radar", {}, "A")


def test_chart_from_an_address_waits_for_its_data():
    html = render("{% chart_from 'value' url title='A' %}", url="/data/?a=1&b=2")
    assert 'data-url="/data/?a=1&amp;b=2"' in html
    assert "application/json" not in html


@pytest.mark.parametrize("code", ["400", "403", "403_csrf", "404", "500"])
def test_error_pages_need_no_context_and_no_inline_code(code):
    template = ROOT / "templates" / f"{code}.html"
    html = Template(template.read_text()).render(Context({}))
    assert "Evenkeel" in html
    assert "<script>" not in html
    assert "style=" not in html


def test_no_template_holds_inline_style_script_or_handler():
    """The content security policy would silently drop them."""
    for path in (ROOT / "templates").rglob("*.html"):
        text = path.read_text()
        assert not re.search(r'\sstyle="|<style|\son\w+="|<script>|javascript:', text), path
