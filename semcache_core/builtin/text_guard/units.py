"""Units, scales, currencies and number words: what makes "5 g" and "5 grams" the same quantity.

Sources: the SI brochure of the BIPM (units and prefixes in everyday use, units accepted beside the SI), Unicode CLDR
``units`` (English long, short and narrow names), ISO 4217 (currency codes) and CLDR ``currencies`` (names and symbols),
CLDR ``rbnf`` (spelled numbers).
"""

from __future__ import annotations

from .lists import listed

# dimension: one line a unit, "factor name name ...": the factor turns one of it into the dimension's base unit. Names
# of several words are written with "_", and "μ" is the Greek letter, as ``fold`` writes the micro sign. Cups, spoons,
# gallons and pints are those of the US.
_TABLE: dict[str, str] = {
    "length": """1e-9 nm nanometer nanometre
        1e-6 μm um micron micrometer micrometre
        1e-3 mm millimeter millimetre
        1e-2 cm centimeter centimetre
        1 m meter metre
        1e3 km kilometer kilometre
        0.0254 inch inches
        0.3048 ft foot feet
        0.9144 yd yard
        1609.344 mi mile
        1852 nmi nautical_mile""",
    "area": """1e-4 cm2 sqcm sq_cm square_centimeter square_centimetre
        1 m2 sqm sq_m square_meter square_metre
        1e4 ha hectare
        1e6 km2 sqkm sq_km square_kilometer square_kilometre
        0.09290304 ft2 sqft sq_ft square_foot square_feet
        2589988.110336 sq_mi square_mile
        4046.8564224 acre""",
    "mass": """1e-9 μg ug mcg microgram
        1e-6 mg milligram
        1e-3 g gr gram gramme
        1 kg kilo kilogram
        1e3 ton tonne
        0.45359237 lb lbs pound-mass
        0.028349523125 oz ounce""",
    "volume": """1e-3 ml milliliter millilitre
        1e-2 cl centiliter centilitre
        1 l liter litre
        3.785411784 gal gallon
        0.473176473 pint
        0.946352946 qt quart
        0.2365882365 cup
        0.0295735295625 floz fl_oz fluid_ounce
        0.01478676478125 tbsp tablespoon
        0.00492892159375 tsp teaspoon
        1e3 m3 cubic_meter cubic_metre""",
    "time": """1e-9 ns nanosecond
        1e-6 μs us microsecond
        1e-3 ms msec millisecond
        1 s sec second
        60 min minute
        3600 h hr hour
        86400 day
        604800 week wk""",
    # A month and a year have no fixed length in days, but a year is twelve months.
    "calendar": """1 month
        12 year yr yo
        120 decade
        1200 century centuries""",
    "data": """0.125 bit
        1 byte
        125 kilobit
        125e3 megabit
        125e6 gigabit
        125e9 terabit
        1e3 kb kilobyte
        1e6 mb megabyte
        1e9 gb gig gigabyte
        1e12 tb terabyte
        1e15 pb petabyte
        1024 kib kibibyte
        1048576 mib mebibyte
        1073741824 gib gibibyte
        1099511627776 tib tebibyte""",
    "rate": """1e3 kbps kilobits_per_second
        1e6 mbps megabits_per_second
        1e9 gbps gigabits_per_second
        8e3 kb/s kilobytes_per_second
        8e6 mb/s megabytes_per_second
        8e9 gb/s gigabytes_per_second""",
    "frequency": """1 hz hertz
        1e3 khz kilohertz
        1e6 mhz megahertz
        1e9 ghz gigahertz""",
    "power": """1e-3 mw milliwatt
        1 w watt
        1e3 kw kilowatt
        745.7 hp horsepower""",
    "energy": """1 joule
        1e3 kj kilojoule
        3.6e6 kwh
        4.184 calorie cal
        4184 kcal kilocalorie""",
    "voltage": """1e-3 mv millivolt
        1 v volt
        1e3 kv kilovolt""",
    "current": """1e-3 ma milliamp milliampere
        1 amp ampere""",
    "charge": """1 mah""",
    "pressure": """1 pa pascal
        1e3 kpa
        1e5 bar
        6894.757 psi""",
    "speed": """1 km/h kmh kph km_per_hour kilometers_per_hour kilometres_per_hour
        1.609344 mph miles_per_hour
        3.6 m/s meters_per_second metres_per_second""",
    "celsius": "1 °c ℃ celsius centigrade",
    "fahrenheit": "1 °f ℉ fahrenheit",
    "kelvin": "1 kelvin",
    "angle": "1 ° deg degree",
    "percent": "1 % percent percentage",
    "pixel": "1 px pixel",
    "dose": "1 iu",
}

# Units that read as plain words or as other units unless a number stands right before them, which it always must.
CURRENCY_NAMES: dict[str, str] = {
    "$": "USD", "us$": "USD", "dollar": "USD", "buck": "USD", "€": "EUR", "euro": "EUR", "£": "GBP", "pound": "GBP",
    "quid": "GBP", "¥": "JPY", "yen": "JPY", "yuan": "CNY", "renminbi": "CNY", "rmb": "CNY", "₹": "INR", "rs": "INR",
    "rupee": "INR", "₩": "KRW", "won": "KRW", "₽": "RUB", "ruble": "RUB", "rouble": "RUB", "₿": "BTC", "bitcoin": "BTC",
    "franc": "CHF", "peso": "MXN", "zloty": "PLN", "lira": "TRY", "₺": "TRY", "krona": "SEK", "krone": "NOK",
    "dirham": "AED", "riyal": "SAR", "baht": "THB", "฿": "THB", "₫": "VND", "₴": "UAH", "hryvnia": "UAH",
    "shekel": "ILS", "₪": "ILS", "forint": "HUF", "koruna": "CZK", "ringgit": "MYR", "rupiah": "IDR", "taka": "BDT",
    "hong kong dollar": "HKD", "us dollar": "USD", "canadian dollar": "CAD", "australian dollar": "AUD",
    "new zealand dollar": "NZD", "singapore dollar": "SGD", "british pound": "GBP", "swiss franc": "CHF",
    "indian rupee": "INR", "mexican peso": "MXN",
    "naira": "NGN", "₦": "NGN", "ether": "ETH", "cent": "cent", "pence": "penny",
    "penny": "penny",
}  # fmt: skip

CURRENCY_CODES: frozenset[str] = frozenset(
    listed(
        """aed ars aud bdt bgn bhd brl btc cad chf clp cny cop czk dkk dzd egp etb eth eur gbp ghs hkd huf idr ils
        inr isk jod jpy kes krw kwd kzt lkr mad mxn myr ngn nok npr nzd omr pen php pkr pln qar ron rsd rub sar
        sek sgd thb tnd tzs twd uah ugx usd uyu vnd xaf xof zar zmw"""
    )
)

SCALES: dict[str, int] = {
    "hundred": 100, "thousand": 1_000, "k": 1_000, "lakh": 100_000, "million": 1_000_000, "mn": 1_000_000,
    "mio": 1_000_000, "crore": 10_000_000, "billion": 10**9, "bn": 10**9, "trillion": 10**12, "dozen": 12,
}  # fmt: skip

NUMBER_WORDS: dict[str, int] = {
    word: value
    for value, word in enumerate(
        listed(
            """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
            sixteen seventeen eighteen nineteen"""
        )
    )
} | {"once": 1, "twice": 2, "thrice": 3} | {
    word: 10 * (value + 2)
    for value, word in enumerate(listed(
        """twenty thirty forty fifty sixty seventy eighty ninety"""
    ))
}  # fmt: skip

ORDINALS: dict[str, int] = {
    word: value + 1
    for value, word in enumerate(
        listed(
            """first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth
            fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"""
        )
    )
}

# Roman numerals as chapters, kings and wars have them. "I", "V" and "X" are words or letters more often.
ROMAN: dict[str, int] = {
    tens + ones: 10 * len(tens) + value
    for tens in ("", "x", "xx")
    for value, ones in enumerate(listed("i ii iii iv v vi vii viii ix"), start=1)
    if len(tens + ones) > 1
}


def _units() -> dict[str, tuple[str, float]]:
    table: dict[str, tuple[str, float]] = {}
    for dimension, lines in _TABLE.items():
        for line in lines.splitlines():
            factor, *names = line.split()
            for name in (name.replace("_", " ") for name in names):
                table[name] = (dimension, float(factor))
                if len(name) > 3 and not name.endswith(("s", "ies", "feet", "hertz", "per hour", "per second")):
                    table[name + "s"] = (dimension, float(factor))
    table |= {name: (code, 1.0) for name, code in CURRENCY_NAMES.items()}
    table |= {name + "s": (code, 1.0) for name, code in CURRENCY_NAMES.items() if len(name) > 3}
    table |= {code: (code.upper(), 1.0) for code in CURRENCY_CODES}
    for name in (
        "days",
        "cups",
        "kgs",
        "hrs",
        "mins",
        "secs",
        "yrs",
        "gbs",
        "mbs",
        "oz",
        "lbs",
        "bits",
        "amps",
        "tons",
    ):
        table[name] = table.get(name) or table[name[:-1]]
    return table


UNITS: dict[str, tuple[str, float]] = _units()
