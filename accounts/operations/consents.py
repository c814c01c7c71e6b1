"""Texts for clients, their consent to them, mandates, and contradictions that were talked over."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from typing import NoReturn

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from accounts import models
from accounts.domain.disclosures import (
    TEXT_LENGTH_MAX,
    TITLE_LENGTH_MAX,
    DisclosureKind,
    find_first_effective_date,
    hash_text,
)
from accounts.domain.doors import MailKind
from accounts.domain.permissions import Permission, role_holds
from accounts.domain.roles import Role
from accounts.operations.audit import record_audit_entry
from accounts.operations.notices import announce
from accounts.queries.consents import list_client_ids
from accounts.queries.notices import list_firm_clients
from robo.common.errors import Conflict, NotAllowed, Refused

NOTE_LENGTH_MAX = 500


# --- Texts ----------------------------------------------------------------------------------------


@transaction.atomic
def draft_disclosure(
    *, firm_id: int, kind: DisclosureKind, title: str, text: str, user_id: int
) -> models.Disclosure:
    """Write the next version of a text; clients see it when somebody else has published it.

    :raises NotAllowed: when the person may not write texts.
    :raises Refused: when a title or text is missing, too long, or no different from the last one.
    """
    user = _read_user(user_id, firm_id, Permission.WRITE_DISCLOSURES)
    if kind not in list(DisclosureKind):
        raise Refused(f"{kind!r} is no kind of document.")
    title = " ".join(title.split())
    text = text.replace("\r\n", "\n").strip()
    if not title or len(title) > TITLE_LENGTH_MAX or not title.isprintable():
        raise Refused(f"A document needs a title of at most {TITLE_LENGTH_MAX} characters.")
    if not text or len(text) > TEXT_LENGTH_MAX or "\x00" in text:
        raise Refused(f"A document needs a text of at most {TEXT_LENGTH_MAX} characters.")
    models.Firm.objects.select_for_update(no_key=True).get(pk=firm_id)
    last = models.Disclosure.objects.filter(firm_id=firm_id, kind=kind).order_by("-version").first()
    text_hash = hash_text(title, text)
    if last is not None and last.text_hash == text_hash:
        raise Refused("Nothing is different from the version before.")
    row = models.Disclosure.objects.create(
        firm_id=firm_id,
        kind=kind,
        version=last.version + 1 if last else 1,
        title=title,
        text=text,
        text_hash=text_hash,
        author=user,
    )
    _record_text(row, user_id, "drafted", f"Wrote version {row.version} of “{title}”")
    return row


@transaction.atomic
def publish_disclosure(
    *, disclosure_id: int, effective_date: date, today: date, user_id: int
) -> models.Disclosure:
    """Publish a text as its second person; every client is told when it replaces another.

    :raises NotAllowed: when the person may not, or wrote it.
    :raises Conflict: when it is published, or a newer one is.
    :raises Refused: when it would take effect before clients had notice.
    """
    row = models.Disclosure.objects.get(pk=disclosure_id)
    user = _read_user(user_id, row.firm_id, Permission.PUBLISH_DISCLOSURES)
    # The order of locks is that of writing: two who publish at once come one after the other.
    models.Firm.objects.select_for_update(no_key=True).get(pk=row.firm_id)
    row = models.Disclosure.objects.select_for_update(of=["self"]).get(pk=disclosure_id)
    if row.author_id == user_id:
        raise NotAllowed("You wrote this text, so somebody else must publish it.")
    if row.published_at is not None:
        raise Conflict("It is published already.")
    others = models.Disclosure.objects.filter(
        firm_id=row.firm_id, kind=row.kind, published_at__isnull=False
    )
    last = others.order_by("-version").first()
    if last is not None and last.version > row.version:
        raise Conflict("A newer version is published already.")
    first = find_first_effective_date(
        today, notice_days=settings.DISCLOSURE_NOTICE_DAYS, is_first=last is None
    )
    if last is not None and last.effective_date is not None:
        # Versions take effect in their order.
        first = max(first, last.effective_date)
    if effective_date < first:
        raise Refused(
            f"Clients need notice: it can take effect on {first:%d %B %Y} at the earliest."
        )
    row.published_by, row.published_at, row.effective_date = user, Now(), effective_date
    row.save(update_fields=["published_by", "published_at", "effective_date"])
    _record_text(row, user_id, "published", f"Published version {row.version} of “{row.title}”")
    announce(
        person_ids=list_firm_clients(row.firm_id),
        kind=MailKind.DOCUMENT_CHANGED,
        event=str(row.public_id),
        facts={"title": row.title, "effective": f"{effective_date:%d %B %Y}"},
    )
    row.refresh_from_db()
    return row


@transaction.atomic
def give_consents(
    *, household_id: int, user_id: int, agreed: Sequence[tuple[int, str]]
) -> list[models.Consent]:
    """Record that a client agreed, for the household, to texts with the hashes that they saw.

    What this client agreed to before stays as it is.

    :raises NotAllowed: when it is not a client of the household.
    :raises Conflict: when a text is not what the client saw, or is none of the firm's.
    """
    household = models.Household.objects.get(pk=household_id)
    user = _read_user(user_id, household.firm_id, Permission.WRITE_PROFILE)
    if user.household_id != household_id:
        raise NotAllowed("Only the household's own people can agree for it.")
    rows = {
        row.pk: row
        for row in models.Disclosure.objects.filter(
            pk__in=[disclosure_id for disclosure_id, _hash in agreed],
            firm_id=household.firm_id,
            published_at__isnull=False,
        )
    }
    before = set(
        models.Consent.objects.filter(client=user, disclosure_id__in=rows).values_list(
            "disclosure_id", flat=True
        )
    )
    made = []
    for disclosure_id, text_hash in agreed:
        row = rows.get(disclosure_id)
        if row is None or row.text_hash != text_hash:
            raise Conflict("This is not the document you saw: open it again.")
        if disclosure_id in before:
            continue
        before.add(disclosure_id)
        made.append(
            models.Consent(
                household=household, disclosure=row, client=user, text_hash=row.text_hash
            )
        )
    models.Consent.objects.bulk_create(made, ignore_conflicts=True)
    for consent in made:
        record_audit_entry(
            firm_id=household.firm_id,
            actor_id=user_id,
            household_id=household_id,
            action="accounts.consent.given",
            object_id=str(consent.disclosure.public_id),
            summary=f"{user.name} agreed to “{consent.disclosure.title}”",
            detail={"text_hash": consent.text_hash, "version": consent.disclosure.version},
        )
    return made


# --- Mandates -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MandateDetails:
    """What a mandate says; None and an empty list: no limit."""

    text: str
    signed_by: str
    signed_on: date
    starts_on: date
    ends_on: date | None = None
    trade_amount_max: Decimal | None = None
    turnover_share_max: Decimal | None = None  # of the account's value
    asset_classes: Sequence[str] = ()


@transaction.atomic
def record_mandate(*, account_id: int, details: MandateDetails, user_id: int) -> models.Mandate:
    """Put a client's mandate on record, and tell the household; the account is discretionary then.

    It ends the mandate before it, and covers nothing that was proposed before this moment. Whether
    its asset classes are the firm's is the caller's to see.

    :raises NotAllowed: when the person may not.
    :raises Refused: when text, signature, dates or limits make no sense.
    """
    account = models.Account.objects.select_for_update(no_key=True).get(pk=account_id)
    user = _read_user(user_id, account.firm_id, Permission.WRITE_HOUSEHOLDS)
    mandate = models.Mandate(
        account=account, **{**asdict(details), "asset_classes": list(details.asset_classes)}
    )
    _check_mandate(mandate)
    for row in models.Mandate.objects.filter(account=account, ended_at__isnull=True):
        _end(row, user)
    mandate.text_hash = hash_text("", mandate.text)
    mandate.recorded_by = user
    mandate.save(force_insert=True)
    if not account.is_discretionary:
        account.is_discretionary = True
        account.save(update_fields=["is_discretionary"])
    words = f"{mandate.signed_by} lets the firm trade {account.name} without asking each time"
    _record_mandate(mandate, account, user_id, "recorded", words)
    return mandate


@transaction.atomic
def end_mandate(*, account_id: int, user_id: int) -> None:
    """End an account's mandate: from now on each proposal needs the client's yes.

    :raises NotAllowed: when the person may not.
    :raises Conflict: when the account has none.
    """
    account = models.Account.objects.select_for_update(no_key=True).get(pk=account_id)
    user = models.User.objects.get(pk=user_id)
    if not (user.role == Role.CLIENT and user.household_id == account.household_id):
        user = _read_user(user_id, account.firm_id, Permission.WRITE_HOUSEHOLDS)
    elif not user.is_active:
        _refuse()
    row = models.Mandate.objects.filter(account=account, ended_at__isnull=True).first()
    if row is None and not account.is_discretionary:
        raise Conflict(f"{account.name} has no mandate to end.")
    if row is not None:
        _end(row, user)
        words = f"The mandate of {account.name} has ended: each proposal needs the client's yes"
        _record_mandate(row, account, user_id, "ended", words)
    account.is_discretionary = False
    account.save(update_fields=["is_discretionary"])


def _check_mandate(mandate: models.Mandate) -> None:
    mandate.text = mandate.text.replace("\r\n", "\n").strip()
    mandate.signed_by = " ".join(mandate.signed_by.split())
    if not mandate.text or len(mandate.text) > TEXT_LENGTH_MAX or "\x00" in mandate.text:
        raise Refused(f"A mandate needs its text, at most {TEXT_LENGTH_MAX} characters.")
    if not mandate.signed_by or len(mandate.signed_by) > 120 or not mandate.signed_by.isprintable():
        raise Refused("Say who signed the mandate.")
    if mandate.ends_on is not None and mandate.ends_on < mandate.starts_on:
        raise Refused("A mandate cannot end before it starts.")
    if mandate.signed_on > mandate.starts_on:
        raise Refused("A mandate cannot start before it is signed.")
    if mandate.trade_amount_max is not None and not mandate.trade_amount_max > 0:
        raise Refused("The largest trade must be more than nothing.")
    share = mandate.turnover_share_max
    if share is not None and not 0 < share <= 1:
        raise Refused("The share that may be moved lies above 0% and is at most 100%.")


def _end(row: models.Mandate, user: models.User) -> None:
    row.ended_by, row.ended_at = user, Now()
    row.save(update_fields=["ended_by", "ended_at"])


# --- Profiles -------------------------------------------------------------------------------------


@transaction.atomic
def review_profile(*, profile_id: int, note: str, user_id: int) -> models.ProfileReview:
    """Settle the contradictions in a profile: an advisor talked them over, and notes the outcome.

    :raises NotAllowed: when the person does not advise the household.
    :raises Refused: without a note, or when nothing contradicts.
    :raises Conflict: when it was settled, or the household has answered again.
    """
    profile = models.RiskProfile.objects.select_related("household").get(pk=profile_id)
    household = models.Household.objects.select_for_update(no_key=True).get(pk=profile.household_id)
    user = _read_user(user_id, household.firm_id, Permission.REVIEW_PROFILES)
    advises = household.assignments.filter(advisor_id=user_id).exists()
    if user.role == Role.ADVISOR and not advises:
        raise NotAllowed(f"You do not look after {household.name}.")
    note = " ".join(note.split())
    if not note or len(note) > NOTE_LENGTH_MAX or not note.isprintable():
        raise Refused(f"Note what came of it, in at most {NOTE_LENGTH_MAX} characters.")
    if not profile.contradictions:
        raise Refused("Nothing in this profile contradicts itself.")
    if household.risk_profiles.filter(version__gt=profile.version).exists():
        raise Conflict("The household has answered again since.")
    review, is_new = models.ProfileReview.objects.get_or_create(
        profile=profile, defaults={"note": note, "reviewed_by": user}
    )
    if not is_new:
        raise Conflict("This was settled already.")
    record_audit_entry(
        firm_id=household.firm_id,
        actor_id=user_id,
        household_id=household.pk,
        action="accounts.risk_profile.reviewed",
        object_id=f"{household.public_id}/{profile.version}",
        summary=f"{user.name} talked over answers that disagree: {note}",
    )
    return review


# --- All of them ----------------------------------------------------------------------------------


def _read_user(user_id: int, firm_id: int, permission: Permission) -> models.User:
    """Return an active person of the firm who holds the permission at this moment."""
    user = models.User.objects.get(pk=user_id)
    if not user.is_active or user.firm_id != firm_id or not role_holds(user.role, permission):
        _refuse()
    return user


def _refuse() -> NoReturn:
    raise NotAllowed("This is not yours to do.")


def _record_text(row: models.Disclosure, user_id: int, event: str, summary: str) -> None:
    record_audit_entry(
        firm_id=row.firm_id,
        actor_id=user_id,
        action=f"accounts.disclosure.{event}",
        object_id=str(row.public_id),
        summary=summary,
        detail={
            "kind": row.kind,
            "text_hash": row.text_hash,
            "effective": row.effective_date.isoformat() if row.effective_date else "",
        },
    )


def _record_mandate(
    row: models.Mandate, account: models.Account, user_id: int, event: str, summary: str
) -> None:
    record_audit_entry(
        firm_id=account.firm_id,
        actor_id=user_id,
        household_id=account.household_id,
        action=f"accounts.mandate.{event}",
        object_id=str(row.public_id),
        summary=summary,
        detail={"account": str(account.public_id), "text_hash": row.text_hash},
    )
    clients = list_client_ids([account.household_id]).get(account.household_id, [])
    is_new = event == "recorded"
    announce(
        # Whose word it was is told as well: somebody else may have said it in their name.
        person_ids=clients,
        kind=MailKind.MANDATE_RECORDED if is_new else MailKind.MANDATE_ENDED,
        event=str(row.public_id),
    )
