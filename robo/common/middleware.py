"""What no view should have to remember: whose rows a request may see, and who may keep answers."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed

from robo.common import tenancy

PAGE_METHODS = ("GET", "HEAD", "POST")
API_PREFIX = "/api/"  # endpoints list their own methods


class PageMethodsMiddleware:
    """Refuse on pages every method that a browser's links and forms do not use."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, or say which methods there are."""
        if request.method not in PAGE_METHODS and not request.path.startswith(API_PREFIX):
            return HttpResponseNotAllowed(PAGE_METHODS)
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
