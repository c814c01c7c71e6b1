"""Importing price files: upload, preview of what would be recorded, confirmation."""

from io import BytesIO
from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts.access import get_signed_in_user, require_permission
from accounts.domain.permissions import Permission
from portfolios.forms import PriceTermsForm, UploadForm
from portfolios.operations.prices import PricesRefused, import_price_file
from portfolios.price_sources.csv_file import PriceFile, PriceFileUnreadable, read_price_file
from portfolios.queries.books import get_market_date
from portfolios.queries.price_files import plan_price_import
from portfolios.views.posting import REFUSED_STATUS, get_posted, get_status
from portfolios.views.uploads import HeldUpload, drop_upload, find_upload, hold_upload
from robo.common import clock

if TYPE_CHECKING:
    from accounts.models import User

KIND = "prices"
REFUSED_ROWS_SHOWN = 200
# What can be judged while somebody waits; the command takes larger files.
ROWS_MAX = 1_000_000


@require_permission(Permission.WRITE_PRICES)
def upload_prices(request: HttpRequest) -> HttpResponse:
    """Take a price file and go on to its preview."""
    user = get_signed_in_user(request)
    form = UploadForm(get_posted(request), request.FILES if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        try:
            read_price_file(BytesIO(file.read()), on_progress=_stop_long_file)
        except PriceFileUnreadable as error:
            form.add_error("file", f"{file.name}: {error.reason}")
        else:
            file.seek(0)
            sha256 = hold_upload(kind=KIND, user_id=user.pk, file=file)
            return redirect("portfolios:import_prices_preview", sha256)
    return render(request, "portfolios/import_prices.html", {"form": form}, status=get_status(form))


def _stop_long_file(count: int) -> None:
    if count > ROWS_MAX:
        raise PriceFileUnreadable(
            f"more than {ROWS_MAX:,} rows; the command import_prices takes longer files"
        )


@require_permission(Permission.WRITE_PRICES)
def preview_prices(request: HttpRequest, sha256: str) -> HttpResponse:
    """Show what importing an uploaded price file would do, and do it when told to."""
    user = get_signed_in_user(request)
    upload = find_upload(kind=KIND, user_id=user.pk, sha256=sha256)
    if upload is None:
        messages.warning(request, "This upload is no longer held. Choose the file once more.")
        return redirect("portfolios:import_prices")
    form = PriceTermsForm(request.POST if request.method == "POST" else request.GET)
    form.is_valid()
    price_file = read_price_file(BytesIO(upload.content))
    if request.method == "POST":
        return _import(request, user, upload, price_file, form)
    return _show(request, user, upload, price_file, form)


def _show(
    request: HttpRequest,
    user: "User",
    upload: HeldUpload,
    price_file: PriceFile,
    form: PriceTermsForm,
) -> HttpResponse:
    plan = plan_price_import(
        firm=user.firm,
        price_file=price_file,
        market_date=get_market_date(user.firm, clock.now()),
        create_missing=form.cleaned_data["create_missing"],
    )
    can_import = plan.recorded and (not plan.refused or form.cleaned_data["skip_refused"])
    return render(
        request,
        "portfolios/import_prices_preview.html",
        {
            "upload": upload,
            "form": form,
            "plan": plan,
            "can_import": can_import,
            "symbol_count": len(set(price_file.symbols)),
            "refused_shown": plan.refused[:REFUSED_ROWS_SHOWN],
        },
        status=REFUSED_STATUS if request.method == "POST" else 200,
    )


def _import(
    request: HttpRequest,
    user: "User",
    upload: HeldUpload,
    price_file: PriceFile,
    form: PriceTermsForm,
) -> HttpResponse:
    try:
        done = import_price_file(
            firm_id=user.firm_id,
            price_file=price_file,
            source=upload.file_name,
            create_missing=form.cleaned_data["create_missing"],
            skip_refused=form.cleaned_data["skip_refused"],
            now=clock.now(),
            actor_id=user.pk,
        )
    except PricesRefused as error:
        messages.warning(request, str(error))
        return _show(request, user, upload, price_file, form)
    drop_upload(kind=KIND, user_id=user.pk, sha256=upload.sha256)
    said = f"Recorded {done.recorded:,} prices; {done.unchanged:,} were on record already."
    if done.refused:
        said += f" {len(done.refused):,} rows were refused and kept apart."
    messages.success(request, said)
    return redirect("portfolios:prices")
