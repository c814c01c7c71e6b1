"""FACTS: securities, prices, model portfolios, holdings, tax lots and the ledger.

Design overview of the books. A business event is one `JournalEntry` of one account with its
`Transfer` rows: so much of one unit (the currency, or a security) from one pocket to another,
always a positive quantity. Every row balances by construction, so no sum can be wrong. Tax truth
lives in `Lot` and `Disposal`; `Holding` and `CashBalance` are running totals that `check_books`
proves against both and can rebuild. Entries, transfers, disposals and prices are append-only in
PostgreSQL.
"""

from portfolios.models.books import CashBalance, Disposal, Holding, JournalEntry, Lot, Transfer
from portfolios.models.securities import AssetClass, Price, RefusedPrice, Security, Substitute
from portfolios.models.statements import StatementImport
from portfolios.models.targets import (
    ModelAssignment,
    ModelPortfolio,
    ModelVersion,
    ModelWeight,
    RiskMapping,
)

__all__ = [
    "AssetClass",
    "CashBalance",
    "Disposal",
    "Holding",
    "JournalEntry",
    "Lot",
    "ModelAssignment",
    "ModelPortfolio",
    "ModelVersion",
    "ModelWeight",
    "Price",
    "RefusedPrice",
    "RiskMapping",
    "Security",
    "StatementImport",
    "Substitute",
    "Transfer",
]
