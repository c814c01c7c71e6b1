"""Somebody at a browser: signs in and out, and writes down everything that goes wrong on a page."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

# The browser says "Refused to …" in the console by itself, but not in every case.
_REPORT_POLICY_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""
# What a browser logs by itself about an answer that a test may well expect.
_STATUS_LINE = "Failed to load resource: the server responded with a status of 4"


class Visitor:
    """One person with one browser profile and one page."""

    def __init__(self, context: "BrowserContext") -> None:
        """Open an empty page and begin to listen."""
        self.context = context
        self.faults: list[str] = []
        context.add_init_script(_REPORT_POLICY_VIOLATIONS)
        self.page: Page = self.open_page()

    def open_page(self) -> "Page":
        """Open a further page of the same profile, as another tab would."""
        page = self.context.new_page()
        page.on("console", lambda line: self._note(line.type, line.text, page.url))
        page.on("pageerror", lambda error: self._note("error", str(error), page.url))
        page.on(
            "response",
            lambda answer: (
                self._note("error", f"answer {answer.status}", answer.url)
                if answer.status >= 500
                else None
            ),
        )
        return page

    def _note(self, kind: str, text: str, url: str) -> None:
        if kind == "error" and not text.startswith(_STATUS_LINE):
            self.faults.append(f"{url}: {text}")

    def sign_in(self, email: str, password: str) -> None:
        """Sign in as people do, and arrive where their work is."""
        self.page.goto("/")
        self.page.get_by_label("E-mail").fill(email)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in", exact=True).click()
        self.page.wait_for_url(lambda url: "/sign-in/" not in url)

    def sign_out(self) -> None:
        """Sign out through the menu of the account."""
        self.page.get_by_role("button", name="Account menu").click()
        self.page.get_by_role("button", name="Sign out").click()
        self.page.wait_for_url("**/sign-in/")
