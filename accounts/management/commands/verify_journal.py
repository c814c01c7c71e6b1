"""Prove the journal: every entry, the chain, and the chain against checkpoints outside."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.domain.checkpoints import Note
from accounts.domain.journal import make_origin
from accounts.operations.sealing import ChainBroken, seal_journal
from accounts.queries import checkpoint_files, people
from accounts.queries.proofs import JournalProof, prove_journal


class Command(BaseCommand):
    """Translate the command line into one proof for each firm."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--firm", help="name of the firm; all firms without it")
        parser.add_argument(
            "--checkpoint", type=Path, metavar="FILE", help="signed checkpoints that you kept"
        )
        parser.add_argument(
            "--public-keys",
            type=Path,
            metavar="FILE",
            help="keys to believe besides those beside the checkpoints: 64 hex digits a line",
        )
        parser.add_argument(
            "--seal", action="store_true", help="first seal what waits, as the worker would"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the first fault and exit 1, or say what is proven."""
        firms = [f for f in people.list_firms() if options["firm"] in (None, f.name)]
        if options["firm"] and not firms:
            raise CommandError(f"there is no firm {options['firm']!r}")
        notes, keys = self._read(options)
        strangers = {note.checkpoint.origin for note in notes} - {
            make_origin(firm.public_id) for firm in firms
        }
        if strangers:
            raise CommandError(f"a checkpoint is of a journal that is not here: {min(strangers)}")
        public_ids = [firm.public_id for firm in people.list_firms()]
        for name in checkpoint_files.list_strangers(public_ids):
            self.stderr.write(f"{name} is of a firm that this database does not know")
        for firm in firms:
            if options["seal"]:
                try:
                    seal_journal(firm_id=firm.pk)
                except ChainBroken as alarm:
                    self.stderr.write(str(alarm))
            proof = prove_journal(firm, more_notes=notes, more_keys=keys)
            if proof.fault is not None:
                raise CommandError(
                    f"{firm.name}: {proof.fault.sentence}. "
                    f"Before it {proof.entry_count} entries are as they were sealed.",
                    returncode=1,
                )
            self.stdout.write(f"{firm.name}: {_describe(proof)}")

    def _read(self, options: dict[str, Any]) -> tuple[list[Note], list[bytes]]:
        notes: list[Note] = []
        keys: list[bytes] = []
        for name in ("checkpoint", "public_keys"):
            if options[name] is not None and not options[name].is_file():
                raise CommandError(f"there is no file {options[name]}")
        try:
            if options["checkpoint"]:
                notes = checkpoint_files.read_notes(options["checkpoint"], is_whole=True)
            if options["public_keys"]:
                keys = checkpoint_files.read_public_keys(options["public_keys"])
        except checkpoint_files.FolderUnreadable as problem:
            raise CommandError(str(problem)) from problem
        if options["checkpoint"] and not notes:
            raise CommandError(f"there is no checkpoint in {options['checkpoint']}")
        return notes, keys


def _describe(proof: JournalProof) -> str:
    parts = [f"{proof.entry_count} entries are as they were sealed"]
    if proof.newest is None:
        parts.append("no checkpoint has left the database yet")
    else:
        parts.append(
            f"{proof.checkpoint_count} signed checkpoints outside agree, the newest of "
            f"{proof.newest.checkpoint.time} over {proof.newest.checkpoint.size} entries"
        )
    parts.append(
        f"exposed: {proof.exposed_count} since then, and {proof.waiting_count} not sealed yet"
    )
    if proof.lost_count:
        parts.append(f"up to {proof.lost_count} were lost in restores that are on record")
    return "; ".join(parts)
