"""Mounts the three apps, Django's admin, the API and the health check."""

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import include, path

from accounts.access import get_signed_in_user
from accounts.domain.roles import Role
from accounts.urls import door_patterns
from robo.common.admin import site

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
]
