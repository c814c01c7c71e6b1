"""Mounts the three apps, Django's admin, the API and the health check."""

import logging
from http import HTTPStatus

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import include, path

from accounts.access import get_signed_in_user
from accounts.domain.roles import Role
from accounts.urls import door_patterns
from robo.common.admin import site
from robo.common.builds import find_mismatch
from robo.common.unavailable import RETRY_SECONDS

logger = logging.getLogger(__name__)

START_PAGES: dict[str, str] = {
    Role.ADVISOR: "rebalancer:work_list",
    Role.SUPERVISOR: "rebalancer:work_list",
    Role.MODEL_ADMIN: "portfolios:models",
    Role.ADMIN: "accounts:people",
    Role.OPERATOR: "accounts:support",
}


@login_not_required
def health(request: HttpRequest) -> HttpResponse:
    """Answer that the web server stands."""
    return HttpResponse("ok", content_type="text/plain; charset=utf-8")


@login_not_required
def ready(request: HttpRequest) -> HttpResponse:
    """Answer whether requests may be sent here: the database answers, and is of this build."""
    try:
        mismatch = find_mismatch()
    except DatabaseError:
        words = "not ready: the database cannot be asked"
    else:
        # Which migrations differ is in the log, and nobody else's business.
        words = "not ready: the database is of another build" if mismatch else ""
        if mismatch:
            logger.critical("%s", mismatch)
    status = HTTPStatus.SERVICE_UNAVAILABLE if words else HTTPStatus.OK
    answer = HttpResponse(words or "ok", status=status, content_type="text/plain; charset=utf-8")
    if words:
        answer["Retry-After"] = str(RETRY_SECONDS)
    return answer


def home(request: HttpRequest) -> HttpResponse:
    """Lead everybody to where their work is."""
    user = get_signed_in_user(request)
    if user.role == Role.CLIENT and user.household is not None:
        return redirect("rebalancer:household", user.household.public_id)
    if user.role not in START_PAGES:
        raise Http404
    return redirect(START_PAGES[user.role])


handler500 = "robo.common.unavailable.answer_failure"

urlpatterns = [
    path("", home, name="home"),
    path("", include("accounts.urls")),
    path("", include(door_patterns)),
    path("", include("portfolios.urls")),
    path("", include("rebalancer.urls")),
    path("admin/", site.urls),
    path("api/", include("robo.api_urls")),
    path("health/", health, name="health"),
    path("ready/", ready, name="ready"),
]
