"""FACTS: securities, prices, model portfolios, holdings, tax lots and the ledger.

Design overview of the books. A business event is one `JournalEntry` of one account with its
`Transfer` rows: so much of one unit (the currency, or a security) from one pocket to another,
always a positive quantity. Every row balances by construction, so no sum can be wrong. Tax truth
lives in `Lot`, `LotAdjustment` and `Disposal`; `Holding` and `CashBalance` are running totals that
`check_books` proves against both and can rebuild. Entries, transfers, disposals, adjustments and
prices are append-only in PostgreSQL: what was wrong is reversed by another entry, never changed.
"""

from portfolios.models.books import (
    CashBalance,
    ClosedPeriod,
    Disposal,
    Holding,
    JournalEntry,
    Lot,
    LotAdjustment,
    Transfer,
)
from portfolios.models.breaks import Break, BreakAdjustment
from portfolios.models.corporate_actions import CorporateAction, ReinvestmentChoice
from portfolios.models.halts import Halt
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
    "Break",
    "BreakAdjustment",
    "CashBalance",
    "ClosedPeriod",
    "CorporateAction",
    "Disposal",
    "Halt",
    "Holding",
    "JournalEntry",
    "Lot",
    "LotAdjustment",
    "ModelAssignment",
    "ModelPortfolio",
    "ModelVersion",
    "ModelWeight",
    "Price",
    "RefusedPrice",
    "ReinvestmentChoice",
    "RiskMapping",
    "Security",
    "StatementImport",
    "Substitute",
    "Transfer",
]
