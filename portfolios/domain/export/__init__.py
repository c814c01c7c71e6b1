"""The books as text for a stranger's program to check: Beancount and hledger."""

from portfolios.domain.export.beancount import BeancountWriter
from portfolios.domain.export.hledger import HledgerWriter
from portfolios.domain.export.journal import Writer

WRITERS: dict[str, type[Writer]] = {"beancount": BeancountWriter, "hledger": HledgerWriter}

__all__ = ["WRITERS", "Writer"]
