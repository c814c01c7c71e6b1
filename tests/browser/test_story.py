"""The product's story in real browsers, with a real worker and the paper broker: a crash, trades
that a person approves, fills, books that agree, a client who reads what happened and why; and an
admin who changes the rules. Figures on the pages are held against the database.
"""

import re
import time
from collections.abc import Callable
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.db.models import Sum
from playwright.sync_api import Page, expect

from accounts.models import AuditEntry, User
from portfolios.models import CashBalance, Holding, JournalEntry, ModelVersion
from rebalancer.domain.lifecycle import OPEN_PROPOSAL, ProposalStatus
from rebalancer.management.demo_firm import HOUSEHOLDS
from rebalancer.models import Check, CycleRun, Policy, PolicyAssignment, Proposal
from robo.common.templatetags.figures import money, percent, points, quantity
from tests.browser.books import get_value, proposals_held_up

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db,
    pytest.mark.usefixtures("worker_and_beat"),
]

ANA, DEV, GUS = "ana@harborlane.example", "dev@harborlane.example", "gus@harborlane.example"
FILLS_MS = 60_000
DONE = {
    ProposalStatus.COMPLETED: "Completed",
    # The paper broker's dice reject one order in a hundred.
    ProposalStatus.COMPLETED_ADJUSTED: "Completed, adjusted",
}


def wait_until(is_so: Callable[[], bool], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)


def get_user(email: str) -> User:
    return User.objects.get(email=email)


def choose_pending(advisor: str, **conditions: object) -> Proposal:
    """Return the pending proposal of an advisor's households that moves most."""
    # A run under way, of a test that failed, would still replace it.
    wait_until(lambda: not CycleRun.objects.filter(status__in=["QUEUED", "RUNNING"]).exists())
    return (
        Proposal.objects.filter(
            status=ProposalStatus.PENDING,
            account__household__assignments__advisor__email=advisor,
            # Whose client is asked first is another story.
            account__is_discretionary=True,
            **conditions,
        )
        .exclude(account__household__name__in=[home.name for home in HOUSEHOLDS if home.unread])
        .select_related("account__household", "origin_check", "policy")
        .order_by("-turnover_amount")[0]
    )


def move_market(page: Page, label: str) -> CycleRun:
    """Press a button of the market and wait until the page shows what followed."""
    page.goto("/market/")
    page.get_by_role("button", name=label).click()
    expect(page.get_by_role("heading", name=f"{label}: what followed")).to_be_visible(
        timeout=FILLS_MS
    )
    return CycleRun.objects.latest("id")


def read_stats(page: Page) -> dict[str, str]:
    """Return the headline figures of a page by their label."""
    cards = page.locator(".stat")
    labels = cards.locator(".stat-label").all_inner_texts()
    values = cards.locator(".stat-value").all_inner_texts()
    return dict(zip((label.strip() for label in labels), values, strict=True))


def list_rows(page: Page, caption: str) -> list[str]:
    """Return the rows of the table with this caption, each as one line of text."""
    table = page.locator("table", has=page.locator("caption", has_text=caption)).first
    texts = table.locator("> tbody > tr").all_inner_texts()
    return [re.sub(r"[ \t\n]+", " ", text) for text in texts]


def assert_books_agree() -> None:
    said = StringIO()
    call_command("check_books", stdout=said)
    assert "the books agree" in said.getvalue()


# --- The story ---------------------------------------------------------------------------------


def test_from_the_crash_to_what_the_client_reads(visit):
    ana = visit(ANA)
    run = watch_a_crash(ana.page)
    assert run.figures["answers_proposed"] >= 3
    proposal = open_from_work_list(ana.page)
    read_proposal(ana.page, proposal)

    ana.page.get_by_role("button", name="Approve and send orders").click()
    expect(ana.page.get_by_text("Approved. The orders are on their way.")).to_be_visible()
    watch_fills(ana.page, proposal)
    assert_books_agree()
    read_account(ana.page, proposal)
    ana.sign_out()

    client = User.objects.get(household=proposal.account.household, role="CLIENT")
    read_as_client(visit(client.email).page, proposal)


def watch_a_crash(page: Page) -> CycleRun:
    page.get_by_role("link", name="Market", exact=True).click()
    with proposals_held_up():
        page.get_by_role("button", name="Crash").click()
        bar = page.locator("#run progress")
        expect(page.locator("#run")).to_contain_text("writing proposals")
        run = CycleRun.objects.latest("id")
        assert (run.status, run.label) == ("RUNNING", "Crash")
        expect(bar).to_have_attribute("value", re.compile(r"0\.6+7?$"))
        # Two of three steps: while the last one is held up, the bar does not pretend to move.
        assert run.done_count / run.total_count == pytest.approx(2 / 3)
        page.wait_for_timeout(1200)
        assert float(bar.get_attribute("value")) == pytest.approx(2 / 3, abs=0.001)
    expect(page.get_by_role("heading", name="Crash: what followed")).to_be_visible()
    run.refresh_from_db()
    assert (run.status, run.done_count) == ("DONE", run.total_count)
    stats = read_stats(page)
    assert stats["Proposals made"] == str(run.figures["answers_proposed"])
    assert stats["Wanted trades"] == str(run.figures["checks_due"])
    return run


def open_from_work_list(page: Page) -> Proposal:
    page.get_by_role("link", name="Proposals made").click()
    mine = Proposal.objects.filter(
        status=ProposalStatus.PENDING, account__household__assignments__advisor=get_user(ANA)
    )
    assert len(list_rows(page, "Accounts")) == mine.count() >= 2
    proposal = choose_pending(ANA, account__tax_status="TAXABLE")
    row = page.locator("tr", has=page.locator(f'a[href*="{proposal.public_id}"]'))
    worst = max(
        proposal.origin_check.drift,
        key=lambda line: abs(float(line["weight"]) - float(line["target"])),
    )
    expect(row).to_contain_text(money(proposal.value))
    expect(row).to_contain_text(money(proposal.turnover_amount))
    expect(row).to_contain_text(f"{proposal.trades.count()} trade")
    assert worst["is_breached"]
    row.get_by_role("link", name=proposal.account.household.name).click()
    return proposal


def read_proposal(page: Page, proposal: Proposal) -> None:
    """See that the page shows the plan, and that the plan adds up."""
    trades = list(proposal.trades.select_related("security"))
    classes = proposal.classes
    for side in ("target", "before", "after"):
        assert sum(Decimal(row[side]) for row in classes) == pytest.approx(1, abs=1e-6)
    shown = list_rows(page, "Weights before and after the trades")
    assert len(shown) == len(classes)
    for row, line in zip(classes, shown, strict=True):
        low, high, target, before, after = (
            Decimal(row[name]) for name in ("low", "high", "target", "before", "after")
        )
        assert line == (
            f"{row['label']} band {percent(low)}–{percent(high)} {percent(target)}"
            f" {percent(before)} {points(before - target)}"
            f" {percent(after)} {points(after - target)}"
        )
    shown = list_rows(page, "Proposed trades")
    assert len(shown) == len(trades)
    for trade in trades:
        assert any(
            f"{trade.side.capitalize()} {trade.security.symbol}" in line
            and money(trade.amount) in line
            and quantity(trade.quantity, 4) in line
            for line in shown
        ), (trade.security.symbol, shown)
    bought = sum(trade.amount for trade in trades if trade.side == "BUY")
    sold = sum(trade.amount for trade in trades if trade.side == "SELL")
    assert proposal.cash_after == proposal.cash_before + sold - bought
    stats = read_stats(page)
    assert stats["Moved"] == money(bought + sold)
    assert stats["Distance from target"] == percent(proposal.drift_after, 2)
    assert proposal.drift_after < proposal.drift_before
    if proposal.account.tax_status == "TAXABLE":
        label = "Estimated tax saved" if proposal.tax_amount < 0 else "Estimated tax"
        assert stats[label] == money(abs(proposal.tax_amount))
    assert proposal.tax_amount == sum(trade.tax_amount for trade in trades)
    expect(page.locator("[data-chart=allocation] canvas").first).to_be_visible()


def watch_fills(page: Page, proposal: Proposal) -> None:
    """Wait for the page itself to say that it is done: nobody reloads it."""
    expect(page.locator("#progress")).to_be_visible()
    expect(page.locator(".page-header .status", has_text="Completed")).to_be_visible(
        timeout=FILLS_MS
    )
    proposal.refresh_from_db()
    orders = list(proposal.orders.select_related("security").annotate(sent=Sum("fills__quantity")))
    assert len(orders) == proposal.trades.count()
    is_filled = all(order.status == "FILLED" for order in orders)
    assert is_filled == (proposal.status == ProposalStatus.COMPLETED)
    expect(page.locator(".page-header .status")).to_have_text(DONE[proposal.status])
    shown = list_rows(page, "Orders of this proposal")
    for order in orders:
        assert order.filled_quantity == (order.sent or 0)
        line = next(line for line in shown if f" {order.security.symbol} " in line)
        assert f"{quantity(order.quantity, 4)} shares" in line
        assert money(order.filled_amount) in line
    expect(page.locator("#progress")).not_to_have_attribute("hx-get", re.compile("."))


def read_account(page: Page, proposal: Proposal) -> None:
    account = proposal.account
    page.get_by_label("Breadcrumb").get_by_role("link", name=account.name).click()
    stats = read_stats(page)
    assert stats["Value"] == money(get_value([account.pk]))
    assert stats["Cash"] == money(CashBalance.objects.get(account=account).amount)
    held = list(Holding.objects.filter(account=account, quantity__gt=0).select_related("security"))
    shown = list_rows(page, "Holdings")
    assert len(shown) == len(held) + 1  # and cash
    for holding in held:
        line = next(line for line in shown if line.startswith(holding.security.symbol))
        assert f" {quantity(holding.quantity, 4)} at " in line
    entries = JournalEntry.objects.filter(account=account, kind__in=["BUY", "SELL"])
    fills = list(
        proposal.orders.filter(fills__isnull=False).values_list(
            "side", "security__symbol", "fills__quantity"
        )
    )
    assert entries.filter(entry_date=proposal.price_date).count() == len(fills) > 0
    activity = list_rows(page, "Activity")
    for side, symbol, count in fills:
        title = "Bought" if side == "BUY" else "Sold"
        assert any(f"{title} {quantity(count)} {symbol}" in line for line in activity), symbol


def read_as_client(page: Page, proposal: Proposal) -> None:
    household = proposal.account.household
    accounts = list(household.accounts.order_by("pk"))
    assert read_stats(page)["Total value"] == money(get_value([row.pk for row in accounts]))
    shown = list_rows(page, "Accounts of the household")
    assert len(shown) == len(accounts)
    for account, line in zip(accounts, shown, strict=True):
        assert line.startswith(account.name)
        assert money(get_value([account.pk])) in line
    story = page.locator(".timeline li", has=page.locator(f'a[href*="{proposal.public_id}"]'))
    expect(story).to_contain_text("Rebalance, done")
    expect(story).to_contain_text(f"{money(proposal.turnover_amount)} was moved")
    expect(story).to_contain_text(
        f"from {percent(proposal.drift_before)} to {percent(proposal.drift_after)}"
    )
    story.get_by_role("link").click()
    expect(page.get_by_text("Ana Reyes approved it on")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)


# --- When people meet --------------------------------------------------------------------------


def test_the_second_click_is_told_who_won(visit):
    proposal = choose_pending(ANA)
    address = f"/proposals/{proposal.public_id}/"
    colleague = get_colleague(proposal, ANA)
    ana, other = visit(ANA).page, visit(colleague.email).page
    for page in (ana, other):
        page.goto(address)
    ana.get_by_role("button", name="Approve and send orders").click()
    expect(ana.get_by_text("Approved. The orders are on their way.")).to_be_visible()
    other.get_by_role("button", name="Approve and send orders").click()
    expect(other.get_by_role("alert")).to_contain_text("Ana Reyes approved this proposal already.")
    other.get_by_role("link", name="See how it stands now").click()
    expect(other.get_by_role("button", name="Approve")).to_have_count(0)
    assert proposal.decision.decided_by == get_user(ANA)
    wait_until(lambda: not is_open(proposal))
    assert_books_agree()


def get_colleague(proposal: Proposal, email: str) -> User:
    rows = proposal.account.household.assignments.exclude(advisor__email=email)
    return rows.select_related("advisor")[0].advisor


def is_open(proposal: Proposal) -> bool:
    proposal.refresh_from_db()
    return proposal.status in OPEN_PROPOSAL


def test_what_the_market_has_overtaken_is_refused_and_leads_to_the_fresh_proposal(visit):
    ana = visit(ANA)
    proposal = choose_pending(ANA)
    ana.page.goto(f"/proposals/{proposal.public_id}/")
    move_market(visit(DEV).page, "Crash")

    ana.page.get_by_role("button", name="Approve and send orders").click()
    expect(ana.page.get_by_role("heading", name="Things have moved on")).to_be_visible()
    proposal.refresh_from_db()
    assert proposal.status == ProposalStatus.SUPERSEDED
    assert not proposal.orders.exists()
    ana.page.get_by_role("link", name="See the fresh proposal").click()
    fresh = proposal.superseded_by
    expect(ana.page).to_have_url(re.compile(str(fresh.public_id)))
    assert fresh.price_date > proposal.price_date
    read_proposal(ana.page, fresh)
    expect(ana.page.get_by_role("button", name="Approve and send orders")).to_be_enabled()


def test_approving_with_the_keyboard_alone(visit):
    ana = visit(ANA).page
    proposal = choose_pending(ANA)
    ana.goto("/work/")
    ana.keyboard.press("Tab")
    assert ana.evaluate("document.activeElement.textContent") == "Skip to content"
    ana.keyboard.press("Enter")
    tab_to(ana, f'main th a[href*="{proposal.public_id}"]')
    ana.keyboard.press("Enter")
    ana.wait_for_url(f"**/proposals/{proposal.public_id}/")
    tab_to(ana, "#id_note")
    ana.keyboard.type("Agreed, by keyboard")
    tab_to(ana, 'button[value="approve"]')
    assert ana.evaluate(
        "getComputedStyle(document.activeElement).outlineStyle !== 'none'"
        " || getComputedStyle(document.activeElement).boxShadow !== 'none'"
    ), "whoever uses the keyboard must see where it is"
    ana.keyboard.press("Enter")
    expect(ana.get_by_text("Approved. The orders are on their way.")).to_be_visible()
    assert proposal.decision.note == "Agreed, by keyboard"
    wait_until(lambda: not is_open(proposal))


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the element has the focus."""
    for _ in range(120):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"the keyboard never gets to {selector}")


# --- The rules ---------------------------------------------------------------------------------


def test_an_admin_edits_a_policy_and_reads_what_it_means(visit):
    page = visit(DEV).page
    policy = Policy.objects.get(name="Quarterly look, wider band")
    page.get_by_role("link", name="Policies").click()
    page.get_by_role("link", name=policy.name).click()
    expect(page.locator("#policy-sentence")).to_contain_text("3")
    page.get_by_label("Band in points").fill("4.5")
    expect(page.locator("#policy-sentence")).to_contain_text("4.5")
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator("#confirm-accept").click()
    expect(page.get_by_role("status").filter(has_text=policy.name)).to_be_visible()
    revision = policy.revision
    policy.refresh_from_db()
    assert (policy.absolute_band, policy.revision) == (Decimal("0.045"), revision + 1)
    assert AuditEntry.objects.filter(object_id=str(policy.public_id), actor=get_user(DEV)).exists()


def test_a_new_model_needs_two_people_and_sets_off_the_checks_that_were_announced(visit):
    gus = visit(GUS)
    version = draft_growth(gus.page)
    announced = read_preview(gus.page)
    gus.page.get_by_role("button", name="Submit for review").click()
    expect(gus.page.get_by_text("In review now.")).to_be_visible()
    expect(gus.page.get_by_role("button", name="Publish")).to_have_count(0)
    gus.sign_out()

    dev = visit(DEV).page
    dev.get_by_role("link", name="Models").click()
    dev.get_by_role("link", name=f"Version {version.number}").click()
    assert read_preview(dev) == announced
    dev.get_by_role("button", name="Publish").click()
    dev.locator("#confirm-accept").click()
    expect(dev.get_by_text(f"Growth, version {version.number}, is now in force.")).to_be_visible()
    version.refresh_from_db()
    assert (version.status, version.publisher) == ("PUBLISHED", get_user(DEV))

    followers = PolicyAssignment.objects.filter(
        account__model_assignment__model=version.model, account__is_open=True
    )
    changes = Check.objects.filter(cause="MODEL_CHANGE", period_key=f"MODEL-{version.pk}")
    wait_until(lambda: changes.count() == followers.count() - count_busy(version))
    breached, accounts = announced
    assert accounts == followers.count()
    assert changes.filter(is_breached=True).count() <= breached
    assert changes.filter(is_breached=True).count() >= breached - count_busy(version)


def draft_growth(page: Page) -> ModelVersion:
    page.get_by_role("link", name="Models").click()
    page.get_by_role("region", name="Models").get_by_role("link", name="Growth").click()
    page.get_by_role("link", name="Write the next version").click()
    total = page.locator("output")
    expect(total).to_have_text("100 %")
    set_weight(page, "USTM", "38")
    expect(total).to_have_text("94 % (6 % missing)")
    page.get_by_label("Why this version").fill("Calmer after the crash")
    page.get_by_role("button", name="Save draft").click()
    expect(page.get_by_role("alert")).to_contain_text("94")
    set_weight(page, "USAG", "19")
    expect(total).to_have_text("100 %")
    page.get_by_role("button", name="Save draft").click()
    version = ModelVersion.objects.get(model__name="Growth", status="DRAFT")
    weights = dict(version.weights.values_list("security__symbol", "weight"))
    assert (weights["USTM"], weights["USAG"]) == (Decimal("0.38"), Decimal("0.19"))
    assert sum(weights.values()) + version.cash_weight == 1
    return version


def set_weight(page: Page, symbol: str, percent_text: str) -> None:
    row = page.locator("tr", has=page.locator("th", has_text=symbol))
    row.locator("input").fill(percent_text)


def read_preview(page: Page) -> tuple[int, int]:
    """Return how many accounts would be out of band, of how many, as the page announces it."""
    words = page.get_by_text("would be out of band").inner_text()
    breached, accounts = re.match(r"(\d+) of (\d+) accounts? would", words).groups()
    return int(breached), int(accounts)


def count_busy(version: ModelVersion) -> int:
    """Return how many followers have trades under way: they are looked at afterwards."""
    return Proposal.objects.filter(
        account__model_assignment__model=version.model,
        status__in=[ProposalStatus.APPROVED, ProposalStatus.EXECUTING],
    ).count()
