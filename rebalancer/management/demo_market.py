"""The demo firm's market as data: asset classes, funds and their measures, model portfolios.

Invented from first to last. What does something with it is `seed_demo`, through operations only.
"""

from dataclasses import dataclass

# By code: the name, and the order in lists.
ASSET_CLASSES = {
    "us-equity": ("US equity", 10),
    "intl-equity": ("International equity", 20),
    "emerging-equity": ("Emerging markets", 30),
    "real-estate": ("Real estate", 40),
    "us-bonds": ("US bonds", 50),
    "intl-bonds": ("International bonds", 60),
    "inflation-bonds": ("Inflation-linked bonds", 70),
}
# Where a tilt of an account takes its weight from, and where it puts it.
TILT = {"us-equity": 1.0, "us-bonds": -1.0}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the funds of an asset class have in common: fractions a year."""

    sector: str
    volatility: str
    qualified_yield: str
    ordinary_yield: str


BEHAVIOUR = {
    "us-equity": Behaviour("Broad equity", "0.16", "0.013", "0.001"),
    "intl-equity": Behaviour("Broad equity", "0.165", "0.021", "0.007"),
    "emerging-equity": Behaviour("Broad equity", "0.2", "0.014", "0.011"),
    "real-estate": Behaviour("Property", "0.19", "0", "0.038"),
    "us-bonds": Behaviour("Bonds", "0.055", "0", "0.042"),
    "intl-bonds": Behaviour("Bonds", "0.05", "0", "0.031"),
    "inflation-bonds": Behaviour("Bonds", "0.06", "0", "0.036"),
}


@dataclass(frozen=True, slots=True)
class DemoSecurity:
    """A fund of the simulated market, with its price a year ago; its house begins its name."""

    symbol: str
    name: str
    class_code: str
    price: str
    half_spread_bps: str = "2"
    share_step: str = "1"
    themes: tuple[str, ...] = ()
    substitutes: tuple[str, ...] = ()
    taxable_substitutes: tuple[str, ...] = ()
    identical_group: str = ""
    daily_volume: int = 500_000

    @property
    def issuer(self) -> str:
        """Return the fund house."""
        return self.name.split()[0]


SECURITIES = (
    DemoSecurity(
        "USTM",
        "Meridian US Total Market",
        "us-equity",
        "212.40",
        "0.5",
        themes=("fossil-fuels", "weapons"),
        substitutes=("USCS",),
        # What stands in for a harvested loss must be another index, not another share class.
        taxable_substitutes=("USLC",),
        identical_group="meridian-us-total",
        daily_volume=4_000_000,
    ),
    DemoSecurity(
        "USTX",
        "Meridian US Total Market, investor shares",
        "us-equity",
        "105.10",
        "1",
        themes=("fossil-fuels", "weapons"),
        identical_group="meridian-us-total",
        daily_volume=900_000,
    ),
    DemoSecurity(
        "USLC",
        "Alder US Large Cap",
        "us-equity",
        "148.15",
        "0.8",
        themes=("fossil-fuels", "weapons"),
        daily_volume=2_500_000,
    ),
    DemoSecurity("USCS", "Meridian US Conscience", "us-equity", "96.30", "1.5"),
    DemoSecurity(
        "DEVX",
        "Meridian Developed Markets",
        "intl-equity",
        "54.85",
        "1",
        themes=("fossil-fuels",),
        substitutes=("DEVC",),
        daily_volume=3_000_000,
    ),
    DemoSecurity("DEVC", "Alder Developed Conscience", "intl-equity", "71.20", "2"),
    DemoSecurity(
        "EMKT",
        "Meridian Emerging Markets",
        "emerging-equity",
        "43.60",
        "2",
        themes=("fossil-fuels",),
        substitutes=("EMCS",),
        daily_volume=1_200_000,
    ),
    DemoSecurity(
        "EMCS",
        "Alder Emerging Conscience",
        "emerging-equity",
        "38.75",
        "4",
        daily_volume=90_000,
    ),
    DemoSecurity("REIT", "Meridian Real Estate", "real-estate", "88.10", "1.5"),
    DemoSecurity(
        "USAG",
        "Meridian US Aggregate Bond",
        "us-bonds",
        "73.90",
        "0.7",
        substitutes=("USGV",),
        daily_volume=3_500_000,
    ),
    DemoSecurity("USGV", "Alder US Government Bond", "us-bonds", "51.35", "1"),
    DemoSecurity("INTB", "Meridian International Bond", "intl-bonds", "49.20", "1"),
    DemoSecurity("TIPX", "Meridian Inflation-Linked Bond", "inflation-bonds", "108.60", "1.2"),
)

# What a model's weights leave is its cash weight.
MODELS = {
    "Conservative": {
        "USTM": "0.16",
        "DEVX": "0.08",
        "REIT": "0.03",
        "USAG": "0.45",
        "INTB": "0.14",
        "TIPX": "0.12",
    },
    "Balanced": {
        "USTM": "0.33",
        "DEVX": "0.16",
        "EMKT": "0.06",
        "REIT": "0.05",
        "USAG": "0.25",
        "INTB": "0.08",
        "TIPX": "0.06",
    },
    "Growth": {
        "USTM": "0.44",
        "DEVX": "0.22",
        "EMKT": "0.09",
        "REIT": "0.06",
        "USAG": "0.13",
        "INTB": "0.05",
    },
    "All equity": {"USTM": "0.54", "DEVX": "0.27", "EMKT": "0.12", "REIT": "0.06"},
}
MODEL_OF_SCORE = {
    1: "Conservative", 2: "Conservative", 3: "Conservative", 4: "Balanced", 5: "Balanced",
    6: "Balanced", 7: "Growth", 8: "Growth", 9: "All equity", 10: "All equity",
}  # fmt: skip
