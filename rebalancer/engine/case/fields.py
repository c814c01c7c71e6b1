"""The public schema of a case, field by field: kinds, limits, defaults, and what each one means."""

from decimal import Decimal

from accounts.domain.roles import TaxStatus, WishKind
from portfolios.domain.kinds import Side
from portfolios.domain.money import QUANTITY_MAX
from portfolios.domain.pricing import PRICE_MAX
from portfolios.domain.symbols import SYMBOL_LENGTH_MAX
from portfolios.domain.tax.lot_methods import LotMethod
from rebalancer.domain.kinds import (
    BandLevel,
    BandMeasure,
    CapKind,
    Destination,
    DriftMeasure,
    Mode,
)
from rebalancer.engine.case.rows import Choice, Day, Field, Flag, Number, Text, Whole

ENGINE_VERSION = "2"

ACCOUNTS_MAX, LOTS_MAX, SECURITIES_MAX, COVARIANCE_MAX = 100, 20_000, 2_000, 500
ROWS_MAX = 20_000  # of cash needs, open orders, recent trades, wishes and caps
AMOUNT_MAX = Decimal("1e12")

ZERO, ONE = Decimal(0), Decimal(1)
MONEY = Number(2, ZERO, AMOUNT_MAX)
SIGNED_MONEY = Number(2, -AMOUNT_MAX, AMOUNT_MAX)
FRACTION = Number(8, ZERO, ONE)
QUANTITY = Number(8, ZERO, QUANTITY_MAX, is_low_allowed=False)
PRICE = Number(6, ZERO, PRICE_MAX, is_low_allowed=False)
UNIT_COST = Number(8, ZERO, PRICE_MAX)
SYMBOL = Text(SYMBOL_LENGTH_MAX, is_symbol=True)
NAME = Text(80)
OPTIONAL_NAME = Text(80, may_be_empty=True)
ID = Text(64)
COVARIANCE = Number(40, Decimal(-100), Decimal(100))

CASE = (
    Field("as_of", Day(), "the day of the prices, on which everything is sold and bought"),
    Field("currency", Text(3), "three letters; of every amount", "USD"),
    Field(
        "together",
        Flag(),
        "one target for all accounts; the engine chooses what lies where",
        default=False,
    ),
    Field("engine_version", Text(8), "refused when it is not this engine's", ENGINE_VERSION),
)
ACCOUNT = (
    Field("id", ID, "your name of the account; once in a case"),
    Field("tax_status", Choice(TaxStatus), "how gains in it are taxed"),
    Field("cash", MONEY, "money; what open orders move is not in it yet"),
    Field("is_frozen", Flag(), "counts for the household, but trades nothing", default=False),
)
CASH_NEED = (
    Field("date", Day(), "when it must be ready; beyond the policy's horizon it is left out"),
    Field("amount", MONEY, "money"),
)
LOT = (
    Field("id", ID, "your name of the lot, once in a case; made from what is in the lot", None),
    Field("symbol", SYMBOL, "what it is of"),
    Field("quantity", QUANTITY, "shares"),
    Field("unit_cost", UNIT_COST, "basis of one share; this or `cost`", None),
    Field("cost", MONEY, "basis of the whole lot; this or `unit_cost`", None),
    Field("acquired_date", Day(), "when the holding period began; not after `as_of`"),
)
OPEN_ORDER = (
    Field("symbol", SYMBOL, "what is bought or sold"),
    Field("side", Choice(Side), "BUY or SELL"),
    Field("quantity", QUANTITY, "shares not filled yet"),
)
SECURITY = (
    Field("symbol", SYMBOL, "its name; once in a case"),
    Field(
        "asset_class",
        NAME,
        "its asset class; null: none yet, and who holds it does not trade",
        may_be_null=True,
    ),
    Field("class_rank", Whole(0, 10_000), "order of its asset class in lists", 0),
    Field("share_step", QUANTITY, "trades are multiples of so many shares", ONE),
    Field(
        "half_spread_bps", Number(4, ZERO, Decimal(5_000)), "1/10,000 of the price, a side", ZERO
    ),
    Field("is_buyable", Flag(), "false: it may be kept and sold only", default=True),
    Field("identical_group", OPTIONAL_NAME, "substantially identical ones share it", ""),
    Field("sector", OPTIONAL_NAME, "for caps", ""),
    Field("issuer", OPTIONAL_NAME, "for caps", ""),
    Field("volume", Number(8, ZERO, Decimal("1e13")), "shares a day, for market impact", None),
    Field("volatility", Number(8, ZERO, Decimal(10)), "of returns, a year", None),
    Field("qualified_yield", FRACTION, "a year, taxed at the long-term rate", ZERO),
    Field("ordinary_yield", FRACTION, "a year, taxed at the short-term rate", ZERO),
)
POLICY = (
    Field("band_level", Choice(BandLevel), "what bands are laid around", BandLevel.ASSET_CLASS),
    Field("band_measure", Choice(BandMeasure), "how wide a band is", BandMeasure.ABSOLUTE),
    Field("absolute_band", FRACTION, "half-width in weight", Decimal("0.05")),
    Field("relative_band", FRACTION, "half-width as a share of the target", Decimal("0.2")),
    Field("band_floor", FRACTION, "no half-width is narrower", Decimal("0.01")),
    Field("destination", Choice(Destination), "how far to go", Destination.TARGET),
    Field(
        "destination_share", FRACTION, "for BETWEEN: 0 is the edge, 1 the target", Decimal("0.5")
    ),
    Field("min_trade_amount", MONEY, "no smaller trade, but a whole holding", Decimal(50)),
    Field("cash_floor_amount", MONEY, "cash never falls below it", ZERO),
    Field("need_horizon_days", Whole(0, 32_767), "cash needs within so many days count", 30),
    Field(
        "willingness",
        Number(8, ZERO, Decimal(100), is_low_allowed=False),
        "cost and tax per unit traded worth paying at five points off target",
        Decimal("0.025"),
    ),
    Field("drift_measure", Choice(DriftMeasure), "how drift is priced", DriftMeasure.WEIGHT),
    Field(
        "risk_aversion",
        Number(3, ZERO, Decimal(999), is_low_allowed=False),
        "of the investor, for RISK",
        Decimal(4),
    ),
    Field(
        "risk_horizon_years",
        Number(3, ZERO, Decimal(999), is_low_allowed=False),
        "years that a distance lasts, for RISK",
        Decimal("0.5"),
    ),
    Field(
        "hurdle_bps", Number(3, ZERO, Decimal(10_000)), "of value; a plan worth it gains more", ZERO
    ),
    Field("ticket_price", MONEY, "what one trade fewer is worth; no cash moves", ZERO),
    Field("commission_fixed", MONEY, "cash a trade", ZERO),
    Field("commission_bps", Number(3, ZERO, Decimal(5_000)), "1/10,000 of the amount", ZERO),
    Field("turnover_max", Number(8, ZERO, Decimal(100)), "buys and sells, of value", None),
    Field("lot_method", Choice(LotMethod), "which lots a sale takes", LotMethod.LEAST_TAX),
    Field("harvests_losses", Flag(), "sell losses for their tax value", default=False),
    Field("harvest_benefit_min", MONEY, "what a harvest must bring", Decimal(20)),
    Field("harvest_drift_max", FRACTION, "how much drift harvests may add", Decimal("0.02")),
    Field("hold_for_long_term_days", Whole(0, 32_767), "keep gains so near to long-term", 0),
    Field(
        "transition_years", Whole(0, 32_767), "spread old gains over so many tax years; 0: off", 0
    ),
    Field("transition_start_year", Whole(0, 32_767), "the first of those years", 0),
)
MODE = Field("mode", Choice(Mode), "which trades are considered; null: as the policy says", None)
CAP = (
    Field("kind", Choice(CapKind), "what it is laid upon"),
    Field("name", NAME, "of the class, sector, issuer or security"),
    Field("max_weight", FRACTION, "no more than this"),
)
TAX = (
    Field("regime", Text(8), "US or UK", "US"),
    Field("short_term_rate", FRACTION, "on gains of at most a year"),
    Field("long_term_rate", FRACTION, "on gains of more than a year"),
    Field("deduction_rate", FRACTION, "of losses set against income; null: the short one", None),
    Field("carried_share", FRACTION, "worth today of a loss carried on", Decimal("0.8")),
    Field("year_short_gain", SIGNED_MONEY, "net short-term gain of this tax year so far", ZERO),
    Field("year_long_gain", SIGNED_MONEY, "net long-term gain of this tax year so far", ZERO),
    Field("carried_short_loss", MONEY, "short-term losses of earlier years", ZERO),
    Field("carried_long_loss", MONEY, "long-term losses of earlier years", ZERO),
    Field("loss_cap", MONEY, "losses set against income a year; null: the law's", None),
    Field("gains_budget", MONEY, "net gains that this year may realise; null: any", None),
    Field("discount_rate", FRACTION, "a year, on tax put off", Decimal("0.05")),
    Field("deferral_years", Number(8, ZERO, Decimal(100)), "until else sold", Decimal(10)),
    Field("realised_share", FRACTION, "how likely a gain put off is ever taxed", ZERO),
)
RECENT_TRADE = (
    Field("symbol", SYMBOL, "what was traded"),
    Field("side", Choice(Side), "BUY or SELL"),
    Field("date", Day(), "when; not after `as_of`"),
    Field("taxable", Flag(), "whether in a taxable account", default=True),
    Field("gain", SIGNED_MONEY, "of a sale; negative: a loss", ZERO),
)
WISH = (
    Field("kind", Choice(WishKind), "what is wished"),
    Field("symbol", SYMBOL, "of which security; this or `theme`", None),
    Field("theme", NAME, "of every security with this theme; this or `symbol`", None),
)
TARGET_CLASS = (Field("weight", FRACTION, "of the whole class"),)
