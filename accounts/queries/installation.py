"""Whether a firm may act, or may only look because its database is older than its own checkpoints.

After a restore from backup the books may lack orders that the broker has. What left the database
signed tells: it knows of entries that a restored copy does not.
"""

from accounts import models
from accounts.queries import checkpoint_files


def is_look_only(firm_id: int | None = None) -> bool:
    """Return whether nothing may be sent for a firm; without one, whether for any firm at all.

    Asks the folder of checkpoints each time, so that a copy restored under running processes is
    noticed before their next order; a folder that cannot be read counts as a restore.
    """
    firms = models.Firm.objects.select_related("look_only").order_by("pk")
    chosen = firms if firm_id is None else firms.filter(pk=firm_id)
    return any(_is_stopped(firm) or find_restore(firm) for firm in chosen)


def _is_stopped(firm: models.Firm) -> bool:
    row = getattr(firm, "look_only", None)
    return row is not None and row.is_on


def find_look_only(firm_id: int) -> models.LookOnly | None:
    """Return a firm's stop with the people concerned, or None while it may act."""
    return (
        models.LookOnly.objects.select_related("asked_by", "released_by")
        .filter(firm_id=firm_id, is_on=True)
        .first()
    )


def find_restore(firm: models.Firm) -> str:
    """Return, in a sentence, what shows that the firm's database is an older copy; or nothing."""
    try:
        newest = checkpoint_files.find_newest_text(firm.public_id)
    except checkpoint_files.FolderUnreadable as problem:
        return f"The checkpoints outside the database cannot be read: {problem}."
    rows = models.JournalCheckpoint.objects.filter(firm=firm)
    if newest is None:
        # One may be in the table alone: the file is written after the row.
        if len(rows.values_list("pk")[:2]) < 2:
            return ""
        return "No checkpoint is found outside the database, which says that it wrote some."
    if rows.filter(note=newest).exists():
        return ""
    return "The database is older than its own newest checkpoint, so it was restored from a backup."
