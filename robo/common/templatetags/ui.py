"""The pieces that pages are made of: icons, badges, cards, drift bars, pagers, form fields.

Load with `{% load ui %}`. Charts have a library of their own, `charts`; figures become text in
`figures` only. A piece takes text that is already formatted, except where it draws a number.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import template
from django.core.paginator import Page
from django.forms import BoundField, CheckboxInput, CheckboxSelectMultiple, RadioSelect, Select
from django.template.context import RequestContext
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from robo.common.templatetags import figures

register = template.Library()

# What every status of a life cycle is called, and how loudly it speaks. Red is kept for breaches.
STATUSES: Mapping[str, tuple[str, str]] = {
    # Proposals
    "PENDING": ("Awaiting approval", "attention"),
    "APPROVED": ("Approved", "accent"),
    "EXECUTING": ("Executing", "info"),
    "COMPLETED": ("Completed", "good"),
    "COMPLETED_ADJUSTED": ("Completed, adjusted", "attention"),
    "REJECTED": ("Rejected", "neutral"),
    "EXPIRED": ("Expired", "neutral"),
    "SUPERSEDED": ("Superseded", "neutral"),
    # Orders
    "NEW": ("New", "neutral"),
    "SUBMITTING": ("Outcome unknown", "attention"),
    "SUBMITTED": ("Submitted", "info"),
    "PARTIALLY_FILLED": ("Partly filled", "info"),
    "FILLED": ("Filled", "good"),
    "CANCELLED": ("Cancelled", "neutral"),
    "REPLACED": ("Replaced", "neutral"),
    # Model portfolios
    "DRAFT": ("Draft", "neutral"),
    "IN_REVIEW": ("In review", "attention"),
    "PUBLISHED": ("Published", "good"),
    "RETIRED": ("Retired", "neutral"),
    # Checks
    "QUIET": ("On target", "good"),
    "BREACHED": ("Out of band", "bad"),
    "DUE": ("Due", "attention"),
    "BLOCKED": ("Blocked", "attention"),
    "PROPOSED": ("Proposed", "info"),
}
# From this share of its band on, a holding is worth watching.
NEAR_BAND_SHARE = 0.75


@register.simple_tag
def icon(name: str, label: str = "", size: str = "") -> SafeString:
    """Draw an icon of the sprite; without a label it is decoration and silent to screen readers."""
    css_class = f"icon icon-{size}" if size else "icon"
    href = f"{static('robo/icons.svg')}#{name}"
    if label:
        return format_html(
            '<svg class="{}" role="img" aria-label="{}"><use href="{}"></use></svg>',
            css_class,
            label,
            href,
        )
    return format_html(
        '<svg class="{}" aria-hidden="true" focusable="false"><use href="{}"></use></svg>',
        css_class,
        href,
    )


@register.inclusion_tag("_includes/status_badge.html")
def status_badge(status: object, label: str = "", tone: str = "") -> dict[str, str]:
    """Show a status in words; one that is not in the table is shown quietly, never hidden."""
    code = str(getattr(status, "value", status) or "")
    known_label, known_tone = STATUSES.get(code, (code.replace("_", " ").capitalize(), "neutral"))
    return {"label": label or known_label or figures.NOTHING, "tone": tone or known_tone}


@register.inclusion_tag("_includes/stat_card.html")
def stat_card(
    label: str, value: object, detail: object = "", tone: str = "", icon: str = "", url: str = ""
) -> dict[str, object]:
    """Show one headline figure; `tone` (from the filter of that name) colours the detail."""
    return {
        "label": label,
        "value": value,
        "detail": detail,
        "tone": tone,
        "icon": icon,
        "url": url,
    }


@register.inclusion_tag("_includes/empty_state.html")
def empty_state(
    title: str, text: str = "", icon: str = "inbox", action_label: str = "", action_url: str = ""
) -> dict[str, str]:
    """Say why there is nothing here, and what to do about it."""
    return {
        "title": title,
        "text": text,
        "icon": icon,
        "action_label": action_label,
        "action_url": action_url,
    }


@register.inclusion_tag("_includes/pager.html", takes_context=True)
def pager(context: RequestContext, page: Page[Any], noun: str = "rows") -> dict[str, object]:
    """Show where in a long list we are; links keep every other query parameter."""
    query = context["request"].GET.copy()

    def address(number: int) -> str:
        query["page"] = str(number)
        return f"?{query.urlencode()}"

    numbers = page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1)
    links = [
        {"text": str(number), "url": address(number), "is_current": number == page.number}
        if isinstance(number, int)
        else {"text": str(number), "url": "", "is_current": False}
        for number in numbers
    ]
    return {
        "page": page,
        "noun": noun,
        "links": links,
        "previous_url": address(page.previous_page_number()) if page.has_previous() else "",
        "next_url": address(page.next_page_number()) if page.has_next() else "",
    }


@register.inclusion_tag("_includes/breadcrumbs.html")
def breadcrumbs(*parts: str) -> dict[str, object]:
    """Show the way here: `{% breadcrumbs "Clients" clients_url "Reed household" %}`.

    Labels and addresses alternate; the last label is the page itself and has no address.
    """
    *pairs, here = parts
    steps = [
        {"label": label, "url": url} for label, url in zip(pairs[::2], pairs[1::2], strict=True)
    ]
    return {"steps": steps, "here": here}


@register.inclusion_tag("_includes/progress.html")
def progress(
    fraction: object, label: str, detail: str = "", tone: str = ""
) -> dict[str, str | float]:
    """Show how much of something is done; 0.4 is 40%, beyond the ends is cut off."""
    try:
        share = min(max(float(str(fraction)), 0.0), 1.0)
    except ValueError:
        share = 0.0
    return {
        "share": f"{share:.4f}",
        "label": label,
        "detail": detail or figures.percent(share, 0),
        "tone": tone,
    }


def _x(weight: float, middle: float, reach: float) -> float:
    """Place a weight on a rail from 0 to 100 whose middle is the target."""
    return min(max(50 + 50 * (weight - middle) / reach, 0.0), 100.0)


@register.inclusion_tag("_includes/drift_bar.html")
def drift_bar(
    current: Decimal | float, target: Decimal | float, low: Decimal | float, high: Decimal | float
) -> dict[str, object]:
    """Draw a weight against its target and band; all four are weights as fractions.

    The rail is centred on the target, so that bars under each other can be compared. A weight
    exactly on the limit is still inside the band, as it is for the engine.
    """
    now, aim, floor, ceiling = (float(weight) for weight in (current, target, low, high))
    room = max(ceiling - aim, aim - floor, 0.0001)
    # Leave half a band free on either side; a far outlier stretches the rail, not the page.
    reach = max(1.5 * room, 1.1 * abs(now - aim))
    side_room = (ceiling - aim) if now >= aim else (aim - floor)
    is_breached = not floor <= now <= ceiling
    is_near = not is_breached and abs(now - aim) >= NEAR_BAND_SHARE * side_room and now != aim
    start, end = sorted((_x(aim, aim, reach), _x(now, aim, reach)))
    band_start, band_end = _x(floor, aim, reach), _x(ceiling, aim, reach)
    return {
        "band_x": f"{band_start:.2f}",
        "band_width": f"{band_end - band_start:.2f}",
        "bar_x": f"{min(start, 98.5):.2f}",
        "bar_width": f"{max(end - start, 1.5):.2f}",
        "state": "is-breached" if is_breached else "is-near" if is_near else "",
        "words": (
            f"{figures.points(now - aim)} from target {figures.percent(aim)}, "
            f"band {figures.percent(floor)} to {figures.percent(ceiling)}"
            f"{', out of band' if is_breached else ''}"
        ),
    }


@register.inclusion_tag("_includes/field.html")
def field(bound: BoundField, prefix: str = "", suffix: str = "") -> dict[str, object]:
    """Show a form field with its label, help and errors, tied together for screen readers."""
    widget = bound.field.widget
    if isinstance(widget, RadioSelect | CheckboxSelectMultiple):
        kind, css_class = "group", "form-check-input"
    elif isinstance(widget, CheckboxInput):
        kind, css_class = "check", "form-check-input"
    else:
        kind = "plain"
        css_class = "form-select" if isinstance(widget, Select) else "form-control"
    classes = [css_class, widget.attrs.get("class", ""), "is-invalid" if bound.errors else ""]
    attributes: dict[str, str | bool] = {"class": " ".join(part for part in classes if part)}
    if kind == "group":
        # A group draws its options one by one, from the widget's own attributes.
        widget.attrs.update(attributes)
    described_by = [f"{bound.id_for_label}_help"] if bound.help_text else []
    described_by += [f"{bound.id_for_label}_errors"] if bound.errors else []
    if described_by and kind != "group":
        attributes["aria-describedby"] = " ".join(described_by)
    return {
        "field": bound,
        "kind": kind,
        "attributes": attributes,
        "control": "" if kind == "group" else bound.as_widget(attrs=attributes),
        "prefix": prefix,
        "suffix": suffix,
    }


@register.inclusion_tag("_includes/form.html")
def form_fields(form: object) -> dict[str, object]:
    """Show a whole form's errors and fields; the page writes `<form>`, token and buttons."""
    return {"form": form}
