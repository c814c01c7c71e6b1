"""Passkeys in a real browser with a virtual authenticator: made, used alone, or as second step."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import HEIGHT, PASSWORD, WIDTH
from tests.browser.visitor import Visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.django_db]
# People whom no other test changes.
ADVISOR, CLIENT = "chloe@harborlane.example", "jonas@weber.example"


@pytest.fixture
def visitor(site_url: str, browser: "Browser") -> Iterator[Visitor]:
    """Give a browser profile whose device can make passkeys, and says yes to every question."""
    context = browser.new_context(
        base_url=site_url, viewport={"width": WIDTH, "height": HEIGHT}, reduced_motion="reduce"
    )
    context.set_default_timeout(15_000)
    visitor = Visitor(context)
    add_authenticator(visitor)
    yield visitor
    faults = visitor.faults
    context.close()
    assert faults == []


def add_authenticator(visitor: Visitor, **options: Any) -> Any:
    """Give the page a device that keeps passkeys; return the line to it and its id."""
    line = visitor.context.new_cdp_session(visitor.page)
    line.send("WebAuthn.enable")
    device = line.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
                **options,
            }
        },
    )
    return line, device["authenticatorId"]


def add_passkey(visitor: Visitor) -> None:
    """Add a passkey on the pages for it, and see the recovery codes once."""
    page = visitor.page
    page.goto("/security/")
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill("My laptop")
    page.get_by_role("button", name="Add it").click()
    page.wait_for_url("**/security/codes/")
    assert page.locator(".recovery-codes li").count() == 10


def test_a_passkey_is_made_and_then_signs_in_alone(visitor: Visitor) -> None:
    page = visitor.page
    visitor.sign_in(ADVISOR, PASSWORD)
    add_passkey(visitor)
    page.goto("/security/passkeys/")
    assert page.get_by_text("My laptop").is_visible()
    assert page.get_by_text("Signs in without a password").is_visible()
    visitor.sign_out()
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url(lambda url: "/sign-in/" not in url)
    assert page.get_by_role("button", name="Account menu").is_visible()
    # With it set up, the password leads to the second step, which the passkey is as well.
    visitor.sign_out()
    page.get_by_label("E-mail").fill(ADVISOR)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/sign-in/code/")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(lambda url: "/sign-in/" not in url)
    # And it confirms who one is.
    page.goto("/confirm/passkey/?next=/security/sessions/")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(lambda url: "/confirm/" not in url)
    # Removing it asks nothing more just now, and leaves the password.
    page.goto("/security/passkeys/")
    page.get_by_role("link", name="Remove My laptop").click()
    page.get_by_role("button", name="Remove it").click()
    page.wait_for_url("**/security/passkeys/")
    assert page.get_by_text("No passkeys").is_visible()


def test_a_device_without_the_passkey_is_told_so(visitor: Visitor) -> None:
    page = visitor.page
    page.goto("/sign-in/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.get_by_text("The passkey was not used").wait_for()
    assert "/sign-in/" in page.url


def test_a_client_sets_up_a_passkey_too_and_it_works_on_a_phone(visitor: Visitor) -> None:
    visitor.page.set_viewport_size({"width": 360, "height": 800})
    visitor.sign_in(CLIENT, PASSWORD)
    add_passkey(visitor)
    width = visitor.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 360
    visitor.page.goto("/security/")
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= 360
