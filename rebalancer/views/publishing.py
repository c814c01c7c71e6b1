"""What publishing a model version would set off, for the page of that version."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import get_signed_in_user, require_permission
from accounts.domain.permissions import Permission
from rebalancer.access import get_model_version_id_for
from rebalancer.queries.preview import count_breaches
from rebalancer.views.answers import get_price_date
from robo.common import clock


@require_permission(Permission.READ_MODELS)
@require_safe
def show_preview(request: HttpRequest, version_id: int) -> HttpResponse:
    """Answer how many accounts would be out of band under a model version."""
    user = get_signed_in_user(request)
    price_date = get_price_date(user.firm, clock.now())
    counts = count_breaches(
        firm_id=user.firm_id,
        version_id=get_model_version_id_for(user, version_id),
        price_date=price_date,
    )
    context = {
        "counts": counts,
        "more": counts.after - counts.before,
        "fewer": counts.before - counts.after,
        "price_date": price_date,
    }
    return render(request, "rebalancer/_publish_preview.html", context)
