"""The books in the language of hledger: every lot an account of its own, held at cost."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal

from portfolios.domain.export.journal import Entry, Posting, Writer, write_number

# What may stand between the quotes of a commodity's name.
_PLAIN = re.compile(r"[^\";\s\x00-\x1f]+")


class HledgerWriter(Writer):
    """Writes what `hledger check -s` reads."""

    def name_commodities(self, symbols: Mapping[int, str]) -> dict[int, str]:
        """Return quoted symbols, and made-up names where a symbol cannot be quoted."""
        codes: dict[int, str] = {}
        taken = {self.currency}
        for security_id, symbol in sorted(symbols.items()):
            is_plain = _PLAIN.fullmatch(symbol) and symbol not in taken
            name = symbol if is_plain else f"security {security_id}"
            codes[security_id] = f'"{name}"'
            taken.add(name)
        return codes

    def write_head(self, first_date: date) -> Iterator[str]:
        """Yield title and commodities."""
        yield f"; {_plain(self.title)}, from {first_date}"
        yield f"commodity 1000.00 {self.currency}"
        for security_id, code in self.codes.items():
            yield f"commodity 1000.00000000 {code}  ; {_plain(self.symbols[security_id])}"

    def write_accounts(
        self,
        accounts: Sequence[str],
        first_date: date,
        note: str,
        securities: str,
        labels: Sequence[str],
    ) -> Iterator[str]:
        """Yield one declaration per account and lot."""
        yield ""
        for account in [*accounts, *(f"{securities}:{label}" for label in labels)]:
            yield f"account {account}  ; {_plain(note)}"

    def write_transaction(
        self, booked_date: date, entry: Entry, postings: Sequence[Posting]
    ) -> Iterator[str]:
        """Yield one transaction; its market day stands beside it."""
        yield ""
        memo = _plain(entry.memo).replace("|", "/")
        yield f"{booked_date} * {entry.kind} | {memo}  ; entry {entry.entry_id}, {entry.entry_date}"
        for posting in postings:
            amount = f"{write_number(posting.quantity)} {posting.commodity}"
            if posting.lot is None:
                yield f"    {posting.account}  {amount}"
            else:
                cost = f"{write_number(posting.lot.unit_cost)} {self.currency}"
                yield f"    {posting.account}:{posting.lot.label}  {amount} @ {cost}"

    def write_balances(
        self, day: date, balances: Sequence[tuple[str, Decimal, str]]
    ) -> Iterator[str]:
        """Yield a transaction that moves nothing and asserts what accounts with their lots hold."""
        yield ""
        yield f"{day} * BALANCE"
        for account, amount, commodity in balances:
            yield f"    {account}  0 {commodity} =* {write_number(amount)} {commodity}"


def _plain(text: str) -> str:
    """Return text on one line that ends no comment and starts none."""
    return " ".join(text.replace(";", ",").split())
