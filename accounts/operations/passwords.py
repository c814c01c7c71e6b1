"""Two rules that Django's own password checks lack: an upper bound, and words of the place."""

import re
from typing import Any

from django.core.exceptions import ValidationError

LENGTH_MAX = 128
PRODUCT_WORDS = ("evenkeel",)
WORD_LENGTH_MIN = 4
REST_LENGTH_MIN = 8


class LengthLimitValidator:
    """Refuses passwords beyond what forms take, so that none is ever cut."""

    def validate(self, password: str, user: Any = None) -> None:
        """Accept or refuse a password.

        :raises ValidationError: when it is too long.
        """
        if len(password) > LENGTH_MAX:
            raise ValidationError(
                f"This password is too long. It may have {LENGTH_MAX} characters at most.",
                code="password_too_long",
            )

    def get_help_text(self) -> str:
        """Return the rule in a sentence."""
        return f"Your password may have {LENGTH_MAX} characters at most."


class ContextWordsValidator:
    """Refuses passwords that are little more than the name of the firm or of the product."""

    def validate(self, password: str, user: Any = None) -> None:
        """Accept or refuse a password.

        :raises ValidationError: when too little is left without those names.
        """
        rest = password.casefold()
        for word in (*PRODUCT_WORDS, *_list_firm_words(user)):
            rest = rest.replace(word, "")
        if rest != password.casefold() and len(rest) < REST_LENGTH_MIN:
            raise ValidationError(
                "This password is little more than the name of the firm or of Evenkeel.",
                code="password_of_this_place",
            )

    def get_help_text(self) -> str:
        """Return the rule in a sentence."""
        return "Your password can't be little more than the name of the firm or of Evenkeel."


def _list_firm_words(user: Any) -> list[str]:
    """Return the firm's name, and its longer words, as people write them into passwords."""
    if user is None or not getattr(user, "firm_id", None):
        return []
    words = re.findall(r"\w+", user.firm.name.casefold())
    whole = {"".join(words), "-".join(words), " ".join(words)}
    return sorted(
        (word for word in whole.union(words) if len(word) >= WORD_LENGTH_MIN), key=len, reverse=True
    )
