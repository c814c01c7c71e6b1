"""The simulated market: move it, watch the run, see what followed. Real markets have no page."""

from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.access import get_signed_in_user, require_permission
from accounts.domain.permissions import Permission
from rebalancer import tasks
from rebalancer.access import get_cycle_run_for, visible_cycle_runs
from rebalancer.domain.kinds import MarketMove
from rebalancer.forms import MarketForm
from rebalancer.operations.cycles import request_cycle
from rebalancer.queries.pages import market as pages
from rebalancer.views.answers import say_no, tell_form_errors
from robo.common.errors import Refused

if TYPE_CHECKING:
    from accounts.models import User
    from rebalancer.models import CycleRun

MOVES = [
    (MarketMove.NEXT_DAY, "Next day", "One ordinary trading day.", "calendar"),
    (MarketMove.NEXT_WEEK, "Next week", "Five trading days, one after the other.", "clock"),
    (MarketMove.CRASH, "Crash", "One terrible day: shares fall hard, bonds hold.", "arrow-down"),
    (MarketMove.RALLY, "Rally", "One euphoric day: shares soar.", "arrow-up"),
]


def _get_market_user(request: HttpRequest) -> tuple["User", date]:
    """Return who asks and the market's day; a real market cannot be moved."""
    user = get_signed_in_user(request)
    if user.firm.simulated_date is None:
        raise Http404
    return user, user.firm.simulated_date


@require_permission(Permission.MOVE_MARKET)
@require_safe
def show_market(request: HttpRequest) -> HttpResponse:
    """Show the market of recent weeks, the buttons that move it, and the last runs."""
    user, market_day = _get_market_user(request)
    runs = pages.list_recent_runs(visible_cycle_runs(user))
    newest = runs[0] if runs else None
    context: dict[str, Any] = {
        "market_day": market_day,
        "index": pages.load_index(firm=user.firm, market_date=market_day),
        "moves": MOVES,
        "runs": runs,
        **_describe(newest),
    }
    return render(request, "rebalancer/market.html", context)


def _describe(run: "CycleRun | None") -> dict[str, Any]:
    if run is None:
        return {"run": None, "is_running": False}
    return {
        "run": run,
        "is_running": pages.is_running(run),
        "share": pages.measure_share(run),
        "outcome": pages.read_figures(run),
    }


@require_permission(Permission.MOVE_MARKET)
@require_POST
def move_market(request: HttpRequest) -> HttpResponse:
    """Ask for the market to move, and for the cycle that follows."""
    user, _market_day = _get_market_user(request)
    form = MarketForm(request.POST)
    if not form.is_valid():
        tell_form_errors(request, {"": ["Choose how the market should move."]})
        return redirect("rebalancer:market")
    try:
        run = request_cycle(firm_id=user.firm_id, user_id=user.pk, move=form.cleaned_data["move"])
    except Refused as error:
        address = reverse("rebalancer:market")
        return say_no(request, error, back_url=address, back_label="Watch the run")
    tasks.nudge(tasks.run_cycle, cycle_run_id=run.pk)
    messages.info(request, f"{run.label}: the market is moving.")
    return redirect("rebalancer:market")


@require_permission(Permission.MOVE_MARKET)
@require_safe
def show_run(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Answer how a run stands; one that is done asks for the whole page, whose figures changed."""
    user, _market_day = _get_market_user(request)
    run = get_cycle_run_for(user, public_id)
    if not pages.is_running(run):
        return HttpResponse(headers={"HX-Refresh": "true"})
    return render(request, "rebalancer/_run.html", _describe(run))
