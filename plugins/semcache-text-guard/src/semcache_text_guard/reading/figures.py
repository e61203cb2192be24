"""Finds what a text writes in figures or symbols, and brings each item to one spelling.

What is found is replaced by one placeholder character, so that the words around it keep their order. Ordinary prose
costs two scans that find nothing; the large expressions run only where a figure or a symbol stands. Every repetition is
bounded or consumes what it looked at, so the time is linear in the text.
"""

from __future__ import annotations

import re
import unicodedata

from .lists import listed
from .quantities import Literal, clock, date, quantity
from .units import CURRENCY_CODES, CURRENCY_NAMES, SCALES, UNITS
from .words import MONTHS

PLACEHOLDER = 0xE000  # the private use area: no text means anything by it, and ``fold`` removes it
_MAX_FOUND = 6000

_PUNCTUATION = str.maketrans(
    dict.fromkeys("“”„‟«»「」『』", '"')
    | dict.fromkeys("‘’‚‛´", "'")
    | dict.fromkeys("‐‑‒–—―−", "-")
    | {"×": "*", "÷": "/", "→": "->", "≤": "<=", "≥": ">=", "≠": "!=", "،": ",", "٫": ".", "٬": ","}
)
_ACCENTED = re.compile("[\u00c0-\u017f\u1e00-\u1eff]")
_SQUARE = re.compile("(?<![A-Za-z])[a-ln-zA-LN-Z]([\u00b2\u00b3])")  # x² is x^2, m² a unit
_FRACTION = re.compile("(?<=[0-9])(?=[\u00bc-\u00be\u2150-\u215e])")  # 1½ is 1 1/2, not 11/2
_PRIVATE = re.compile("[\ue000-\uf8ff\ud800-\udfff]")


def fold(text: str) -> str:
    """Return the text with one kind of quotes, dashes and digits; ASCII comes back as it is."""
    if text.isascii():
        return text
    text = _SQUARE.sub(lambda match: f"{match[0][0]}^{unicodedata.digit(match[1])}", _FRACTION.sub(" ", text))
    text = unicodedata.normalize("NFKC", _PRIVATE.sub(" ", text).translate(_PUNCTUATION)).replace("\u2044", "/")
    if _ACCENTED.search(text):
        text = _ACCENTED.sub(_bare, text)
    return "".join([c if c < "\x80" or not c.isdecimal() else str(unicodedata.decimal(c)) for c in text])


def _bare(match: re.Match[str]) -> str:
    # A dotless i has no accent to lose; expressions that ignore case take it for an i, and the tables have to, too.
    return unicodedata.normalize("NFD", match.group())[0].replace("ı", "i")


def _any(names: dict[str, object]) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))


_MONTH = _any(dict(MONTHS))
_UNIT = _any(dict(UNITS))
_SCALE = _any(dict(SCALES))
_MONTH_BEFORE = re.compile(rf"\b(?:{_MONTH})\.?,? (?:the |of )?\Z", re.IGNORECASE)

# Tried where a chunk with a digit starts. The named alternatives are the kinds; the first that fits wins.
_FIGURE = re.compile(
    rf"""
    (?P<iso>(\d{{4}})[-/.](\d{{1,2}})[-/.](\d{{1,2}})(?![\w-]))
  | (?P<dmy>(\d{{1,2}})[-/.](\d{{1,2}})[-/.](\d{{4}})(?![\w-]))
  | (?P<dm>(\d{{1,2}})(?:st|nd|rd|th)?(?:\ of)?[ -](?:{_MONTH})\b\.?(?:,?[ -](?:of\ )?(\d{{4}})\b(?!:))?)
  | (?P<md>(?:{_MONTH})\.?\ (?:the\ )?(\d{{1,2}})(?:st|nd|rd|th)?\b(?![:.%]\d)(?:,?\ (\d{{4}})\b(?!:))?)
  | (?P<my>(?:{_MONTH})\.?,?\ (?:of\ )?(\d{{4}})\b)
  | (?P<time>(\d{{1,2}})(?:[:.](\d{{2}}))?(?::(\d{{2}}))?\ ?([ap])(?:\.m\.?|m\b)
      |(\d{{1,2}}):(\d{{2}})(?::(\d{{2}}))?(?![\w:]) |(\d{{1,2}})\ o'clock\b)
  | (?P<version>v?\d{{1,9}}(?:\.\d{{1,9}}){{2,5}}(?:[-+][\w.]{{1,40}})?(?!\w)|v\.?\ ?\d{{1,9}}(?:\.\d{{1,9}})?\b)
  | (?P<phone>\+\d[\d\ ().-]{{6,18}}\d\b|\(?\d{{3}}\)?[ .-]\d{{3}}[ .-]\d{{4}}\b|\d{{4}}(?:[ -]\d{{4}}){{2,4}}\b)
  | (?P<ordinal>\d{{1,6}}(?:st|nd|rd|th)\b)
  | (?P<quantity>(?P<minus>-?)(?P<money>us\$|[$€£¥₹₩₽₺₫₴₪₦])?\ ?
      (?P<number>(?>\d{{1,3}}(?:[,_ ]\d{{3}})+(?![\d,]\d)|\d{{1,3}}(?:,\d\d)*,\d{{3}}(?!\d)|\d++)(?:\.\d++)?+|\.\d++)
      (?:[ -]?(?P<scale>{_SCALE})s?(?![\w°%]))?
      (?:[ -]?(?P<unit>per\ cent
          |(?:degrees?\ |°\ ?|(?<=\d{{3}}))[cf]|degrees?\ (?:celsius|fahrenheit|centigrade)|{_UNIT})
        (?![\w°%]))?
      (?![A-Za-z_]))
  | (?P<ident>[A-Za-z]{{0,40}}(?:[-_]?[A-Za-z0-9]{{1,60}}){{1,9}}|\w+)
    """,
    re.VERBOSE | re.IGNORECASE,
)
# The common case, tried first: figures, and a word that makes no quantity, date or time of them.
_BARE = re.compile(r"(\d{1,15})(?:(?:[?!,;)]|\.(?!\w))(?!\d)|(?= ([a-zA-Z']+)(?![\w/]))|\Z)")
_CONTINUES = (
    SCALES.keys()
    | {s + "s" for s in SCALES}
    | MONTHS.keys()
    | set(listed("of per degree degrees a p am pm o'clock c f"))
    | {name.split()[0] for name in UNITS if " " in name}
)
_DIGIT = re.compile("[0-9]")  # ``fold`` has made these of all others
_NUMERONYMS = {  # the letters that were left out, counted
    "k8s": "kubernetes", "i18n": "internationalization", "l10n": "localization", "a11y": "accessibility",
}  # fmt: skip
_SPLIT_ID = re.compile(r"([A-Za-z]{3,})[-_]?(\d{1,6})\Z")


# Not every code: "PHP 8" and "try 5 times" are no money.
_MONEY_BEFORE = CURRENCY_CODES & {code.lower() for code in CURRENCY_NAMES.values()}
# "USD 500" is 500 USD, and "No. 7" is number 7.
_PREFIXED = re.compile(r"\b(?:([A-Za-z]{3}) ?(\d[\d,.]{0,20}(?: ?(?:[km]|million|billion|bn)\b)?)|[Nn]o\.(?= ?\d))")


def _amount(match: re.Match[str]) -> str:
    if match[1] is None:
        return "number "
    if match[1].lower() not in _MONEY_BEFORE:
        return match.group()
    digits = match[2].rstrip(",.")
    return f"{digits} {match[1]}{match[2][len(digits) :]}"


def figures(text: str, found: list[Literal]) -> str:
    """Take every item with a digit out of the text, appending them to ``found`` in order of appearance."""
    hit = _DIGIT.search(text)
    if hit is None:
        return text
    text = _PREFIXED.sub(_amount, text)
    hit = _DIGIT.search(text)
    out: list[str] = []
    done = 0
    while hit is not None and len(found) < _MAX_FOUND:
        digit = hit.start()
        start, end, item = _simple(text, done, digit) or _figure_at(text, done, digit)
        out.append(text[done:start])
        words, literal = item
        out.append(f" {words} ")
        if literal is not None:
            found.append(literal)
            out.append(chr(PLACEHOLDER + len(found) - 1) + " ")
        done = end
        hit = _DIGIT.search(text, done)
    out.append(text[done:])
    return "".join(out)


def _simple(text: str, done: int, digit: int) -> tuple[int, int, tuple[str, Literal | None]] | None:
    """Read figures between spaces, with or without a unit, or return None where they may be part of something else."""
    bare = _BARE.match(text, digit) if digit == 0 or text[digit - 1] == " " else None
    if bare is None or _after_month(text, done, digit):
        return None
    word = (bare[2] or "").lower()
    if word in _CONTINUES:
        return None
    if word in UNITS:
        return digit, bare.end(2), ("", quantity(bare[1], negative=False, scale=None, unit=bare[2], money=None))
    return digit, bare.end(1), ("", Literal("numbers", bare[1], bare[1]))


def _figure_at(text: str, done: int, digit: int) -> tuple[int, int, tuple[str, Literal | None]]:
    start = digit
    floor = max(done, digit - 60)
    while start > floor and not text[start - 1].isspace() and text[start - 1] not in "\"'([{,;:=*/<>!?%&|#":
        start -= 1
    if start < digit and text[start] == "-" and start > 0 and text[start - 1] not in " (":
        start += 1
    before = _MONTH_BEFORE.search(text, max(done, start - 16), start) if _after_month(text, done, start) else None
    if before is not None:
        dated = _FIGURE.match(text, before.start())
        if dated is not None and dated.lastgroup in ("md", "my"):
            return before.start(), dated.end(), ("", _literal(dated)[1])
    match = _FIGURE.match(text, start)
    if match is None or match.end() <= digit:
        start = digit
        match = _FIGURE.match(text, digit)
    if match is None or match.end() <= digit:
        return digit, digit + 1, ("", Literal("numbers", text[digit], text[digit]))
    return start, match.end(), _literal(match)


def _after_month(text: str, done: int, start: int) -> bool:
    before = text[max(done, start - 16) : start].split()[-2:]
    return not MONTHS.keys().isdisjoint([word.strip(".,").lower() for word in before])


def _literal(match: re.Match[str]) -> tuple[str, Literal | None]:
    """Return the words to leave in the text and the item that was found."""
    kind, text = match.lastgroup or "ident", match.group()
    if kind == "quantity":
        return "", quantity(
            match["number"],
            negative=bool(match["minus"]),
            scale=match["scale"],
            unit=match["unit"],
            money=match["money"],
        )
    if kind in ("iso", "dmy", "dm", "md", "my"):
        return "", date(kind, text)
    if kind == "time":
        return "", clock(text)
    if kind == "version":
        return "", Literal("versions", text.lower().lstrip("v. "))
    if kind == "phone":
        return "", Literal("ids", "".join(_DIGIT.findall(text)))
    if kind == "ordinal":
        return "", Literal("numbers", str(int(text[:-2])) + "th", str(int(text[:-2])))
    word = _NUMERONYMS.get(text.lower())
    if word is not None:
        return word, None
    named = _SPLIT_ID.match(text)
    if named is not None:  # "Group-1" and "sha256" are a name and a number, as in "Group 1" and "SHA 256"
        return named[1], Literal("numbers", named[2], named[2])
    return "", Literal("ids", text.lower().replace("-", "").replace("_", ""))


_EXTENSIONS = (  # IANA media types: the file name extensions that questions name
    "py|js|ts|jsx|tsx|java|c|h|cpp|cs|go|rs|rb|php|sh|sql|html?|css|json|ya?ml|toml|xml|csv|tsv|txt|md|log|ini|cfg|env|"
    "pdf|docx?|xlsx?|pptx?|odt|rtf|zip|tar|gz|rar|exe|dll|dmg|apk|iso|bat|png|jpe?g|gif|svg|webp|mp3|mp4|wav|avi|mkv|mov"
)
_DOMAINS = "com|org|net|edu|gov|info|biz|io|ai|app|dev|co|uk|de|fr|in|us|eu|ca|au|jp|cn|ru|br|me|tv"  # IANA root zone

_ORIGIN = re.compile(r"^(?:https?://)?(?:www\.)?", re.IGNORECASE)
_SYMBOL_HINT = re.compile(r"[`@_\\~#/+()]")
_PATTERN_HINT = re.compile(r"[YMDHymdh]{2}[-/:]|%[A-Za-z]")
_DOTTED = re.compile(r"\.[a-zA-Z]")
# What every item below has somewhere; slower than the hints, and asked where one of them was found.
_SYMBOL_START = re.compile(
    r"[`@_]|\.[a-z]|www\.|://|(?<![\w/<])[/\\][\w.-]|[a-z](?:\+\+|\#)|\(\)| --?[a-z]", re.IGNORECASE
)
_SYMBOL = re.compile(
    rf"""
    (?P<code>```.{{1,4000}}?```|`[^`\n]{{1,400}}`)
  | (?P<url>(?:https?|ftp)://[^\s<>"]+|\bwww\.[^\s<>"]+
      |(?<![\w@.-])(?:[a-z0-9-]{{1,63}}\.){{1,4}}(?:{_DOMAINS})\b(?!@|\.\w)(?:/[^\s<>"]*)?)
  | (?P<email>(?<![\w.+-])[\w.+-]{{1,64}}@[\w-]{{1,63}}(?:\.[\w-]{{1,63}}){{1,4}})
  | (?P<file>(?<![\w.-])\w{{1,64}}(?:[-.]\w{{1,64}}){{0,4}}\.(?:{_EXTENSIONS})\b(?!\.?\w)
      |(?<![\w/<])(?:~|\.{{1,2}}|[a-z]:)?[/\\][\w.-]{{1,64}}(?:[/\\][\w.-]{{1,64}}){{0,12}}[/\\]?)
  | (?P<name>(?<![\w.])\w{{0,80}}_\w{{1,80}}(?:\.\w{{1,80}}){{0,6}}(?:\(\))?(?!\w)
      |(?<!\w)\w{{1,80}}(?:\.\w{{1,80}}){{0,6}}\(\))
  | (?P<pattern>\b(?:y{{2,4}}|m{{2,3}}|d{{2,3}}|h{{2}})(?:[-/:.](?:y{{2,4}}|m{{2,3}}|d{{2,3}}|h{{2}}|s{{2}})){{1,5}}\b
      |(?:%[a-z][-/:., ]?){{1,12}}(?!\w))
  | (?P<initials>\b(?:[a-z]\.){{2,6}}|\b(?:[a-z]\.){{1,5}}[a-z]\b)
  | (?P<lang>\b[a-z](?:\+\+|\#)(?!\w))
  | (?P<flag>(?<=\ )--?[a-z][\w-]{{0,40}})
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


# Between figures, where their order counts: 2 / 10 is not 10 / 2. Not a dash, which makes ranges.
_ORDERED = re.compile(r"([\ue000-\uf8ff]) *([/^]|[<>]=?) *(?=([\ue000-\uf8ff]))")
_OPERATOR_HINT = re.compile(r"[+*^=<>/]")
_OPERATOR = re.compile(r"(?<=[\w\ue000-\uf8ff)\s])([<>=!]=|[+*^=<>]|(?<=[\ue000-\uf8ff ])/) *(?=[\ue000-\uf8ff(])")


# Alone, a dash between two figures is a range.
_FORMULA = re.compile(rf"{_OPERATOR.pattern}|(?<=\s)-(?=\s)|\((?= *[\ue000-\uf8ff])")
# Between names as well: what stands alone between spaces, a comparison, arrows and mathematical signs anywhere.
_SIGN_HINT = re.compile(r"[+*^=<>/&|%\u2190-\u22ff]")
_SIGN = re.compile(r"(?<!\S)[-+*/=<>!&|^%~]{1,3}(?!\S)|(?<=\w)(?:[<>=!]=|[<>=])(?=\w)|[\u2190-\u22ff]")


# Between figures: "6 times 7".
_SPOKEN = re.compile(
    r"(?<=[\ue000-\uf8ff]) +(plus|minus|times|multiplied by|divided by|over|x) +(?=[\ue000-\uf8ff])", re.IGNORECASE
)
_SPOKEN_SIGNS = {"plus": "+", "minus": "-", "divided by": "/", "over": "/"}


def operators(text: str, found: list[Literal]) -> str:
    """Append the operators of a formula: 2 + 2 is not 2 * 2. Called once the figures are placeholders.

    Between names they are soft: "a - b" is not "a + b", but a dash or a slash of one text alone is punctuation.
    """
    if len(found) > 1:
        text = _SPOKEN.sub(lambda match: f" {_SPOKEN_SIGNS.get(match[1].lower(), '*')} ", text)
        # Soft, as the other text may say "5 of 10" for "5 / 10".
        found.extend([Literal("code", _ordered(match, found), soft=True) for match in _ORDERED.finditer(text)])
    if found and _OPERATOR_HINT.search(text) is not None and _OPERATOR.search(text) is not None:
        # One after the other: 3 - 5 + 6 is not 3 + 5 - 6, and (6 + 4) / 2 is not 6 + 4 / 2.
        found.append(Literal("code", " ".join([sign[0].strip() for sign in _FORMULA.finditer(text)])))
    if _SIGN_HINT.search(text) is not None or " - " in text:
        found.extend(Literal("code", sign, soft=True) for sign in _SIGN.findall(text)[:100])
    return text


def _ordered(match: re.Match[str], found: list[Literal]) -> str:
    left, right = (found[ord(item) - PLACEHOLDER].key for item in match.group(1, 3))
    return f"{left} {match[2]} {right}"


def symbols(text: str, found: list[Literal]) -> str:
    """Take URLs, addresses, code, file names and operators out of the text, appending them to ``found``."""
    patterned = "-" in text or "/" in text or ":" in text or "%" in text
    if not patterned or _PATTERN_HINT.search(text) is None:
        if _SYMBOL_HINT.search(text) is None and _DOTTED.search(text) is None and " -" not in text:
            return text
        if _SYMBOL_START.search(text) is None:  # "and/or", "(see below)", "2 + 2"
            return text

    def replace(match: re.Match[str]) -> str:
        if len(found) >= _MAX_FOUND:
            return " "
        kind, item = match.lastgroup, match.group()
        if kind == "initials":
            return item.replace(".", "").upper() + " "
        found.append(_symbol(kind or "", item))
        return f" {chr(PLACEHOLDER + len(found) - 1)} "

    return _SYMBOL.sub(replace, text)


def _symbol(kind: str, item: str) -> Literal:
    if kind == "code":
        return Literal("code", " ".join(item.strip("`").split()))
    if kind == "url":
        return Literal("urls", _ORIGIN.sub("", item).rstrip("/.,;:!?)'").lower())
    if kind == "email":
        return Literal("urls", item.rstrip(".").lower())
    if kind == "lang":
        return Literal("entities", item.lower())
    if kind == "pattern":  # dd/mm/yyyy is not mm/dd/yyyy (CLDR date fields), %H not %h (strftime)
        return Literal("code", item.rstrip(" .,") if "%" in item else item.lower())
    return Literal("code", item.removesuffix("()").rstrip("."))
