"""Every page that a role can reach: it answers, breaks no policy, reads well for everybody, and
fits a phone, in light and in dark.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import Resolver404, resolve
from playwright.sync_api import TimeoutError

from tests.browser.conftest import HEIGHT, WIDTH

pytestmark = [pytest.mark.browser, pytest.mark.django_db]

PHONE_WIDTH = 360
GRAVE = ("serious", "critical")
AXE_ALL = {"resultTypes": ["violations"]}
AXE_COLOURS = {
    "resultTypes": ["violations"],
    "runOnly": {"type": "rule", "values": ["color-contrast"]},
}
PEOPLE = {
    "client": "kwame@osei.example",
    "advisor": "ana@harborlane.example",
    "supervisor": "fay@harborlane.example",
    "model_admin": "gus@harborlane.example",
    "admin": "dev@harborlane.example",
    "operator": "hana@harborlane.example",
}
KINDS_AT_LEAST = {
    "client": 9,
    "advisor": 18,
    "supervisor": 20,
    "model_admin": 8,
    "admin": 18,
    "operator": 4,
}
FIRST_TAB = "pending"  # what the work list shows without being asked
# The theme follows the system a moment later, and colours fade over.
_IS_DARK = """() => document.documentElement.dataset.bsTheme === "dark" &&
  document.getAnimations().every((animation) => animation.playState !== "running")"""
# Tables that do not fit their card on a desk, where nobody expects to scroll sideways.
_CUT_OFF = """() => [...document.querySelectorAll(".table-responsive")]
  .filter((region) => region.scrollWidth > region.clientWidth + 1)
  .map((region) => `${region.ariaLabel}, ${region.scrollWidth} in ${region.clientWidth} px`)"""
# What a page sticks out with, when it is wider than the screen.
_FITS = "(width) => document.documentElement.scrollWidth <= width"
_TOO_WIDE = """(width) => {
  if (document.documentElement.scrollWidth <= width) return [];
  const scrolls = (element) => element && element !== document.body &&
    (getComputedStyle(element).overflowX !== "visible" || scrolls(element.parentElement));
  const wide = [...document.body.querySelectorAll("*")].filter((element) =>
    element.getBoundingClientRect().right > width + 0.5 && !scrolls(element.parentElement));
  const names = wide.slice(0, 4).map((element) => `${element.tagName} ${element.className}`);
  return [`${document.documentElement.scrollWidth} px wide: ${names.join(", ")}`];
}"""


@dataclass(frozen=True)
class Kind:
    """A sort of page, of which one is looked at: the view, its tab, and the tab that led there."""

    view: str
    tab: str
    source_tab: str


def get_tab(address: str) -> str:
    tab = parse_qs(urlsplit(address).query).get("tab", [""])[0]
    return "" if tab == FIRST_TAB else tab


def get_kind(address: str, source: str) -> Kind | None:
    """Return the sort of page behind an address, or None when it is not a page of ours."""
    path = urlsplit(address).path
    try:
        view = resolve(path).view_name
    except Resolver404:
        return None
    is_file = path.endswith(".csv")
    return (
        None
        # Django's admin has a test of its own; the page of the API is Swagger's, in its own style.
        if is_file or view.startswith(("admin:", "api:"))
        else Kind(view, get_tab(address), get_tab(source))
    )


def list_links(page, selector: str) -> list[str]:
    return page.locator(selector).evaluate_all(
        "links => links.map((link) => link.getAttribute('href')).filter((href) =>"
        " href && (href.startsWith('/') || href.startsWith('?')))"
    )


def look_at(page, address: str, *, is_new: bool) -> Iterator[str]:
    """Open a page and yield what is wrong with it.

    One that is not new, but for what another role may do there, is looked at on a desk only.
    """
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    status = page.goto(address).status
    if status != 200:
        yield f"{address}: status {status}"
        return
    yield from (f"{address}: cut off: {table}" for table in page.evaluate(_CUT_OFF))
    if not is_new:
        return
    page.evaluate(Axe().axe_script)
    yield from (f"{address}: {grave}" for grave in list_grave(page, AXE_ALL))
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    page.wait_for_function(_IS_DARK)
    yield from (f"{address} (dark): {grave}" for grave in list_grave(page, AXE_COLOURS))
    page.set_viewport_size({"width": PHONE_WIDTH, "height": HEIGHT})
    # A chart takes a moment to follow.
    with contextlib.suppress(TimeoutError):
        page.wait_for_function(_FITS, arg=PHONE_WIDTH, timeout=2000)
    yield from (f"{address}: {wide}" for wide in page.evaluate(_TOO_WIDE, PHONE_WIDTH))


def list_grave(page, options: dict) -> list[str]:
    found = page.evaluate("options => axe.run(options)", options)["violations"]
    return [
        f"{violation['id']}: {violation['nodes'][0]['html'][:200]} "
        f"({len(violation['nodes'])} times; {violation['nodes'][0]['failureSummary'][:200]})"
        for violation in found
        if violation["impact"] in GRAVE
    ]


@pytest.fixture(scope="module")
def judged_before() -> set[Kind]:
    """Give the sorts of page judged already, with staff of another role who share most."""
    return set()


@pytest.mark.parametrize("role", PEOPLE)
def test_every_page_of(role: str, visit, judged_before):
    judged = set() if role == "client" else judged_before
    page = visit(PEOPLE[role]).page
    main_pages = list_links(page, "#navigation a, .dropdown-menu a")
    assert len(main_pages) >= 4
    seen: set[Kind] = set()
    wrong: list[str] = []

    def see(address: str, source: str) -> bool:
        kind = get_kind(address, source)
        if kind is None or kind in seen:
            return False
        seen.add(kind)
        wrong.extend(look_at(page, address, is_new=kind not in judged))
        judged.add(kind)
        return True

    for main_page in main_pages:
        if not see(main_page, ""):
            continue
        # Tabs of a main page are main pages as well.
        links = list_links(page, "main a")
        tabs = [main_page + link for link in links if link.startswith("?tab=")]
        details = [(link, main_page) for link in links if link.startswith("/")]
        for tab in tabs:
            if see(tab, ""):
                links = list_links(page, "main a")
                details += [(link, tab) for link in links if link.startswith("/")]
        for address, source in details:
            see(address, source)

    assert not wrong, "\n".join(wrong)
    assert len(seen) >= KINDS_AT_LEAST[role], seen


@pytest.mark.parametrize("address", ["/sign-in/", "/no-such-page/"])
def test_pages_for_strangers(address: str, site_url: str, browser_context):
    page = browser_context.new_page()
    errors: list[str] = []
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    for colours in ("light", "dark"):
        page.emulate_media(color_scheme=colours)
        page.goto(site_url + address)
        page.evaluate(Axe().axe_script)
        assert list_grave(page, AXE_ALL) == []
    page.set_viewport_size({"width": PHONE_WIDTH, "height": HEIGHT})
    assert page.evaluate(_TOO_WIDE, PHONE_WIDTH) == []
    assert [text for text in errors if "status of 404" not in text] == []


def test_every_list_and_first_row_of_djangos_admin(visit):
    # Without errors in the console: `visit` sees to that.
    page = visit(PEOPLE["admin"]).page
    page.goto("/admin/")
    lists = sorted({link for link in list_links(page, "#content th a") if link.count("/") == 4})
    assert len(lists) >= 10
    for address in lists:
        assert page.goto(address).status == 200, address
        first_rows = list_links(page, "#result_list tbody tr:first-child th a")
        for further in first_rows + list_links(page, ".object-tools a.addlink"):
            assert page.goto(further).status == 200, further
