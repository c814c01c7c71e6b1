"""Takes in price files that a feed leaves in the firm's folder."""

import logging
from datetime import datetime
from pathlib import Path

from django.utils.text import slugify

from accounts.queries.people import get_firm, get_service_user
from portfolios.operations.prices import import_price_file
from portfolios.price_sources.csv_file import PriceFileUnreadable, read_price_file
from portfolios.queries.price_files import PriceImport

logger = logging.getLogger(__name__)

DONE, UNREADABLE = "done", "unreadable"
SUFFIXES = (".csv", ".csv.gz")


def collect_price_files(*, firm_id: int, inbox: Path, now: datetime) -> list[PriceImport]:
    """Import every price file in the firm's folder, oldest name first, and put it away.

    The folder is `inbox/<firm name as a slug>`. What is believed is recorded, what is not is
    kept apart with the reason; a file that cannot be read goes to its own folder. A crash
    between the two steps means that the same file is imported again, which changes nothing.
    """
    folder = inbox / slugify(get_firm(firm_id).name)
    if not folder.is_dir():
        return []
    taken = []
    files = (path for path in folder.iterdir() if path.is_file() and path.name.endswith(SUFFIXES))
    for path in sorted(files):
        try:
            price_file = read_price_file(path)
        except PriceFileUnreadable as error:
            logger.warning("price file %s: %s", path.name, error.reason)
            _put_away(path, UNREADABLE)
            continue
        taken.append(
            import_price_file(
                firm_id=firm_id,
                price_file=price_file,
                source=path.name[:60],
                create_missing=False,
                skip_refused=True,
                now=now,
                actor_id=get_service_user(firm_id).pk,
            )
        )
        _put_away(path, DONE)
    return taken


def _put_away(path: Path, folder: str) -> None:
    target = path.parent / folder
    target.mkdir(exist_ok=True)
    path.replace(target / path.name)
