"""The documentation page in a real browser: it draws, breaks no policy, and its buttons work."""

import json

import pytest

from tests.api.cast import sign_in

pytestmark = pytest.mark.browser
TELL_VIOLATIONS = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => {
      window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`);
    });
"""


@pytest.fixture
def docs(live_server, cast, browser_context):
    """Give the page as an advisor sees it, with everything that went wrong on it."""
    cookie = sign_in(cast.people["advisor"]).cookies["sessionid"].value
    browser_context.add_cookies([{"name": "sessionid", "value": cookie, "url": live_server.url}])
    browser_context.add_init_script(TELL_VIOLATIONS)
    page = browser_context.new_page()
    page.troubles = []
    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    page.on(
        "console",
        lambda message: page.troubles.append(message.text) if message.type == "error" else None,
    )
    page.goto(f"{live_server.url}/api/docs/")
    page.wait_for_selector("#operations-me-get_me", timeout=60_000)
    return page


def call(page, operation, body=None, **parameters):
    """Open an operation, try it out, and return (status, body) of the answer that is shown."""
    block = page.locator(f"[id='operations-{operation}']")
    block.locator(".opblock-summary-control").click()
    block.locator("button.try-out__btn").click()
    for name, value in parameters.items():
        block.locator(f'tr[data-param-name="{name}"] input').fill(value)
    if body is not None:
        block.locator("textarea.body-param__text").fill(json.dumps(body))
    block.locator("button.execute").click()
    shown = block.locator(".live-responses-table .response").first
    shown.wait_for(timeout=30_000)
    status = shown.locator(".response-col_status").inner_text().split()[0]
    return int(status), shown.inner_text()


def test_the_page_draws_and_its_buttons_work(docs, cast):
    assert docs.locator(".opblock").count() >= 17
    status, text = call(docs, "me-get_me")
    assert status == 200
    assert cast.people["advisor"].email in text
    # A write carries the CSRF token of the session.
    status, text = call(
        docs,
        "proposals-approve_proposal",
        {"content_hash": cast.proposal.content_hash, "note": "from the page"},
        public_id=cast.keys["proposal"],
        **{"Idempotency-Key": "from-the-page"},
    )
    assert status == 200, text
    cast.proposal.refresh_from_db()
    assert cast.proposal.status == "APPROVED"
    assert docs.evaluate("window.violations") == []
    assert docs.troubles == []
