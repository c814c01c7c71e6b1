"""What clients are told before they agree: the kinds of text, and the words that ship with us.

A shipped text is made of claims, by their id in the register, and of plain sentences about the
firm's role, which say nothing about what the product does.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from accounts.domain.claims import CLAIMS

TEXT_LENGTH_MAX = 20_000
TITLE_LENGTH_MAX = 120


class DisclosureKind(StrEnum):
    """What a text is about; a firm that trades in earnest publishes one of each."""

    HOW_WE_MANAGE = "HOW_WE_MANAGE"
    FEES = "FEES"
    TAX_HARVESTING = "TAX_HARVESTING"
    CONFLICTS = "CONFLICTS"
    HALTS = "HALTS"


@dataclass(frozen=True, slots=True)
class DefaultText:
    """A text to begin with: paragraphs of claim ids and plain sentences, in order."""

    title: str
    paragraphs: tuple[tuple[str, ...], ...]

    def write(self) -> str:
        """Return the words, a blank line between paragraphs."""
        return "\n\n".join(
            " ".join(CLAIMS[part].sentence if part in CLAIMS else part for part in paragraph)
            for paragraph in self.paragraphs
        )

    def list_plain(self) -> list[str]:
        """Return the sentences that are no claims."""
        return [part for row in self.paragraphs for part in row if part not in CLAIMS]


DEFAULT_TEXTS: Mapping[DisclosureKind, DefaultText] = {
    DisclosureKind.HOW_WE_MANAGE: DefaultText(
        "How we manage your accounts",
        (
            (
                "A computer program works out the trades for your accounts.",
                "It relies on the answers you gave us, on prices that others supply, and on a "
                "model portfolio that our people chose.",
                "If any of them is wrong or out of date, so are the trades.",
            ),
            ("schedule", "bands", "unclassified", "profile_age"),
            ("person_approves", "client_yes", "mandate", "no_retroactive", "consent_first"),
            ("wishes",),
            ("change_notice",),
            ("Investments can lose value, and no method prevents that.",),
        ),
    ),
    DisclosureKind.FEES: DefaultText(
        "What it costs",
        (
            (
                "Our own fee is in the agreement that you signed with us.",
                "Funds charge fees of their own, which you pay through their price.",
            ),
            ("cost_shown", "spread"),
        ),
    ),
    DisclosureKind.TAX_HARVESTING: DefaultText(
        "Taxes and realised losses",
        (
            (
                "Selling at a loss can lower the tax of this year and raise that of a later one.",
                "Whether it helps depends on facts about you that we may not know.",
            ),
            ("wash", "wash_ours_only"),
            ("We do not give tax advice; please ask your tax adviser.",),
        ),
    ),
    DisclosureKind.CONFLICTS: DefaultText(
        "Conflicts of interest",
        (
            (
                "Whoever is paid for managing money has an interest in managing more of it.",
                "If we receive anything from others for what we recommend, we tell you here.",
            ),
            ("whole_lots",),
        ),
    ),
    DisclosureKind.HALTS: DefaultText(
        "When trading stops",
        (
            (
                "After large moves of the market, or when something looks wrong, we may stop "
                "trading.",
                "While it is stopped your accounts are not moved back to their target.",
            ),
            ("halt_notice", "own_stop", "two_people"),
        ),
    ),
}


def hash_text(title: str, text: str) -> str:
    """Return the fingerprint of what a client reads."""
    return hashlib.sha256(f"{title}\n\n{text}".encode()).hexdigest()


def find_first_effective_date(today: date, *, notice_days: int, is_first: bool) -> date:
    """Return the first day on which a text may take effect; the first of its kind may at once."""
    return today if is_first else today + timedelta(days=notice_days)
