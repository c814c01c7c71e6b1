"""A firm with a journal to seal, a key to sign with, and the folder that checkpoints leave to."""

import os

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.db import transaction

from accounts.operations.audit import AuditRecord, record_audit_entries
from accounts.operations.sealing import seal_journal
from tests import people


def use_own_key(settings, folder, *, name="key.pem"):
    """Point the settings at a new key and an empty folder of checkpoints."""
    path = folder / name
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(pem)
    settings.JOURNAL_KEY_FILE = str(path)
    settings.JOURNAL_CHECKPOINT_DIR = folder / "outside"
    return path


def write_entries(firm, count, *, household=None, actor=None):
    """Write so many entries, each in a transaction of its own."""
    actor_id = actor.pk if actor else firm.users.get(role="SERVICE").pk
    for number in range(count):
        with transaction.atomic():
            record_audit_entries(
                [
                    AuditRecord(
                        firm_id=firm.pk,
                        actor_id=actor_id,
                        household_id=household.pk if household else None,
                        action="test.thing.happened",
                        object_id=f"thing-{number}",
                        summary=f"Thing {number} happened to Zoë “Z” O’Hara",
                        detail={"number": number, "note": 'a\tb\n"c" \\ é', "amount": "1.10"},
                    )
                ]
            )


def make_sealed_firm(settings, *, batches=(5, 5, 5), name=""):
    """Return a firm with so many more entries in each batch, and a checkpoint after each."""
    settings.JOURNAL_CHECKPOINT_ENTRIES = 1
    firm = people.make_firm(name)
    household = people.make_household(firm)
    for count in batches:
        write_entries(firm, count, household=household)
        seal_journal(firm_id=firm.pk)
    return firm
