"""Finds the items that a text writes in figures, and normalises their spelling.

Each item is replaced by one placeholder character, so that the words around it keep their order. Ordinary prose costs
a scan that finds nothing; the large expression runs only at a figure. Every repetition is bounded or consumes its
input, so the time is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from semcache_text_guard.language.english import MONTHS
from semcache_text_guard.language.units import CURRENCY_CODES, CURRENCY_NAMES, SCALES, UNITS

from .folding import MAX_FOUND, PLACEHOLDER
from .quantities import Literal, clock, date, quantity

Item = tuple[str, Literal | None]
"""The words that replace the item in the text, and the item."""


def _any(names: dict[str, object]) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))


_MONEY = "$€£¥₹₩₽₺₫₴₪₦"
_MONTH = _any(dict(MONTHS))
_UNIT = _any(dict(UNITS))
_SCALE = _any(dict(SCALES))
_MONTH_BEFORE = re.compile(rf"\b(?:{_MONTH})\.?,? (?:the |of )?\Z", re.IGNORECASE)

# Tried at the start of a chunk with a digit. The named alternatives are the kinds; the first match wins.
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
  | (?P<quantity>(?P<minus>-?)(?P<money>us\$|[{_MONEY}])?\ ?
      (?P<number>(?>\d{{1,3}}(?:[,_ ]\d{{3}}){{1,8}}(?![\d,]\d)|\d{{1,3}}(?:,\d\d){{0,8}},\d{{3}}(?!\d)|\d++)
        (?:\.\d++)?+|\.\d++)
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
    | frozenset(("of", "per", "degree", "degrees", "a", "p", "am", "pm", "o'clock", "c", "f"))
    | {name.split()[0] for name in UNITS if " " in name}
)
_DIGIT = re.compile("[0-9]")  # ``fold`` has made these of all others
_NUMERONYMS = {  # the letters that were left out, counted
    "k8s": "kubernetes", "i18n": "internationalization", "l10n": "localization", "a11y": "accessibility",
}  # fmt: skip
_CASED = 8
"""Characters from which an id in capitals and small letters is one in base 64, where they differ."""
_SPLIT_ID = re.compile(r"([A-Za-z]{3,})[-_]?(\d{1,6})\Z")


# Not every code: "PHP 8" and "try 5 times" are not money.
_MONEY_BEFORE = CURRENCY_CODES & {code.lower() for code in CURRENCY_NAMES.values()}
# "USD 500" is 500 USD, "€ 5" is €5, and "No. 7" is number 7.
_PREFIXED = re.compile(
    r"\b(?:([A-Za-z]{3}) ?(\d[\d,.]{0,20}(?: ?(?:[km]|million|billion|bn)\b)?)|[Nn]o\.(?= ?\d))"
    rf"|([{_MONEY}]) (?=\d)"
)


def _amount(match: re.Match[str]) -> str:
    if match[3] is not None:
        return match[3]
    if match[1] is None:
        return "number "
    if match[1].lower() not in _MONEY_BEFORE:
        return match.group()
    digits = match[2].rstrip(",.")
    return f"{digits} {match[1]}{match[2][len(digits) :]}"


def figures(text: str, found: list[Literal]) -> str:
    """Remove every item with a digit from the text, appending it to ``found`` in order of appearance."""
    hit = _DIGIT.search(text)
    if hit is None:
        return text
    text = _PREFIXED.sub(_amount, text)
    hit = _DIGIT.search(text)
    out: list[str] = []
    done = 0
    while hit is not None and len(found) < MAX_FOUND:
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


def _simple(text: str, done: int, digit: int) -> tuple[int, int, Item] | None:
    """Read figures between spaces, with or without a unit; None if they may be part of something else."""
    bare = _BARE.match(text, digit) if digit == 0 or text[digit - 1] == " " else None
    if bare is None or _after_month(text, done, digit):
        return None
    word = (bare[2] or "").lower()
    if word in _CONTINUES:
        return None
    if word in UNITS:
        return digit, bare.end(2), ("", quantity(bare[1], negative=False, scale=None, unit=bare[2], money=None))
    return digit, bare.end(1), ("", Literal("numbers", bare[1], bare[1]))


def _figure_at(text: str, done: int, digit: int) -> tuple[int, int, Item]:
    start = digit
    floor = max(done, digit - 60)
    while start > floor and not text[start - 1].isspace() and text[start - 1] not in "\"'([{,;:=*/<>!?%&|#^":
        start -= 1
    if start < digit and text[start] == "-" and start > 0 and text[start - 1] not in " ([{=<>*/^":
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


def _literal(match: re.Match[str]) -> Item:
    kind, text = match.lastgroup or "ident", match.group()
    if kind == "quantity":
        return "", quantity(
            match["number"],
            negative=bool(match["minus"]),
            scale=match["scale"],
            unit=match["unit"],
            money=match["money"],
        )
    if kind == "ident":
        return _ident(text)
    return "", date(kind, text) if kind in _DATES else _KINDS[kind](text)


def _ordinal(text: str) -> Literal:
    number = str(int(text[:-2]))
    return Literal("numbers", number + "th", number)


def _ident(text: str) -> Item:
    word = _NUMERONYMS.get(text.lower())
    if word is not None:
        return word, None
    named = _SPLIT_ID.match(text)
    if named is not None:  # "Group-1" and "sha256" are a name and a number, as in "Group 1" and "SHA 256"
        return named[1], Literal("numbers", named[2], named[2])
    if len(text) < _CASED or text.islower() or text.isupper():
        text = text.lower()
    return "", Literal("ids", text.replace("-", "").replace("_", ""))


_DATES = frozenset(("iso", "dmy", "dm", "md", "my"))
_KINDS: dict[str, Callable[[str], Literal]] = {
    "time": clock,
    "version": lambda text: Literal("versions", text.lower().lstrip("v. ")),
    "phone": lambda text: Literal("ids", "".join(_DIGIT.findall(text))),
    "ordinal": _ordinal,
}
