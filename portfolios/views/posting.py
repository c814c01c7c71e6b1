"""How every page with a form reads what was posted, and answers when it is refused."""

from django.forms import Form
from django.http import HttpRequest, QueryDict

# A page that shows what is wrong with what was posted; htmx swaps it in like any other.
REFUSED_STATUS = 422


def get_posted(request: HttpRequest) -> QueryDict | None:
    """Return what was posted, even if nothing, or None when the page was only asked for."""
    return request.POST if request.method == "POST" else None


def get_status(form: Form) -> int:
    """Return the status of a page that shows this form."""
    return REFUSED_STATUS if form.errors else 200
