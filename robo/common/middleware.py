"""What no view should have to remember: whose rows a request may see, and who may keep answers."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse

from robo.common import tenancy

PAGE_METHODS = ("GET", "HEAD", "POST")
API_PREFIX = "/api/"  # endpoints list their own methods
ENDPOINTS_PREFIX = "/api/v1/"


class PageMethodsMiddleware:
    """Refuse on pages every method that a browser's links and forms do not use."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, or say which methods there are."""
        if request.method not in PAGE_METHODS and not request.path.startswith(API_PREFIX):
            return HttpResponseNotAllowed(PAGE_METHODS)
        return self.get_response(request)


class EncryptedApiMiddleware:
    """Refuse a call to an endpoint that came in the clear; a browser's pages are redirected.

    A redirect would hide from whoever wrote the program that its token is readable on the way.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, or say that the endpoints are to be called over https."""
        is_clear = settings.SECURE_SSL_REDIRECT and not request.is_secure()
        if is_clear and request.path.startswith(ENDPOINTS_PREFIX):
            detail = "Call this over https, and replace a token that was sent without it."
            error = {"code": "https_required", "detail": detail, "attr": None}
            return JsonResponse({"type": "client_error", "errors": [error]}, status=403)
        return self.get_response(request)


class TenancyMiddleware:
    """Show a request no row of any firm before it is known whose it is, and then that firm's only.

    Stands before whatever reads a table. What is served from files never comes here.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer behind the wall."""
        with tenancy.guard():
            return self.get_response(request)


class PrivatePagesMiddleware:
    """Keep what a signed-in person sees out of every cache."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, and mark the answer as private when a person was signed in."""
        response = self.get_response(request)
        if request.user.is_authenticated and "Cache-Control" not in response:
            response["Cache-Control"] = "no-store"
        return response
