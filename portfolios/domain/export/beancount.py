"""The books in the language of Beancount: lots with cost, day and label, matched strictly."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal

from portfolios.domain.export.journal import Entry, Posting, Writer, write_number

_COMMODITY = re.compile(r"[A-Z][A-Z0-9'._-]{0,22}[A-Z0-9]")


class BeancountWriter(Writer):
    """Writes what `bean-check` reads."""

    def name_commodities(self, symbols: Mapping[int, str]) -> dict[int, str]:
        """Return symbols where the language allows them, and made-up names elsewhere."""
        codes: dict[int, str] = {}
        taken = {self.currency}
        for security_id, symbol in sorted(symbols.items()):
            is_plain = _COMMODITY.fullmatch(symbol) and symbol not in taken
            codes[security_id] = symbol if is_plain else f"SECURITY-{security_id}X"
            taken.add(codes[security_id])
        return codes

    def write_head(self, first_date: date) -> Iterator[str]:
        """Yield title, currency, commodities and the accounts that all share."""
        yield f'option "title" "{_quote(self.title)}"'
        yield f'option "operating_currency" "{self.currency}"'
        yield ""
        yield f"{first_date} commodity {self.currency}"
        for security_id, code in self.codes.items():
            yield f"{first_date} commodity {code}"
            yield f'  name: "{_quote(self.symbols[security_id])}"'

    def write_accounts(
        self,
        accounts: Sequence[str],
        first_date: date,
        note: str,
        securities: str,
        labels: Sequence[str],
    ) -> Iterator[str]:
        """Yield one `open` per account; a sale must name lots that are there."""
        yield ""
        for account in accounts:
            yield f"{first_date} open {account}" + (
                ' "STRICT"' if account == securities else f" {self.currency}"
            )
            yield f'  name: "{_quote(note)}"'

    def write_transaction(
        self, booked_date: date, entry: Entry, postings: Sequence[Posting]
    ) -> Iterator[str]:
        """Yield one transaction; its market day stands beside it."""
        yield ""
        yield f'{booked_date} * "{entry.kind}" "{_quote(entry.memo)}"'
        yield f"  entry: {entry.entry_id}"
        yield f"  market-day: {entry.entry_date}"
        for posting in postings:
            line = f"  {posting.account}  {write_number(posting.quantity)} {posting.commodity}"
            if posting.lot is not None:
                cost = f"{write_number(posting.lot.unit_cost)} {self.currency}"
                line += f' {{{cost}, {posting.lot.acquired_date}, "{posting.lot.label}"}}'
            yield line

    def write_balances(
        self, day: date, balances: Sequence[tuple[str, Decimal, str]]
    ) -> Iterator[str]:
        """Yield assertions without any tolerance."""
        yield ""
        for account, amount, commodity in balances:
            yield f"{day} balance {account}  {write_number(amount)} ~ 0 {commodity}"


def _quote(text: str) -> str:
    plain = " ".join(text.split())
    return plain.replace("\\", "\\\\").replace('"', '\\"')
