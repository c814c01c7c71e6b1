"""Where a request comes from."""

from django.conf import settings
from django.http import HttpRequest


def get_address(request: HttpRequest) -> str:
    """Return the address of whoever calls; behind our own proxy, what the proxy says."""
    if settings.SECURE_PROXY_SSL_HEADER:
        # Only the last entry is the proxy's own word; the ones before it can be made up.
        forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        if forwarded:
            return forwarded
    return str(request.META.get("REMOTE_ADDR", ""))
