"""Extracts URLs, addresses, code, file names and date patterns from a text, each in one spelling."""

from __future__ import annotations

import re
from collections.abc import Callable

from .folding import MAX_FOUND, PLACEHOLDER
from .quantities import Literal

_EXTENSIONS = (  # IANA media types: the file name extensions that questions name
    "py|js|ts|jsx|tsx|java|c|h|cpp|cs|go|rs|rb|php|sh|sql|html?|css|json|ya?ml|toml|xml|csv|tsv|txt|md|log|ini|cfg|env|"
    "pdf|docx?|xlsx?|pptx?|odt|rtf|zip|tar|gz|rar|exe|dll|dmg|apk|iso|bat|png|jpe?g|gif|svg|webp|mp3|mp4|wav|avi|mkv|mov"
)
_DOMAINS = "com|org|net|edu|gov|info|biz|io|ai|app|dev|co|uk|de|fr|in|us|eu|ca|au|jp|cn|ru|br|me|tv"  # IANA root zone

_HOST = re.compile(r"^[^/?#]*")  # what follows it has case (RFC 3986, 6.2.2.1)
_ORIGIN = re.compile(r"^(?:https?://)?(?:www\.)?", re.IGNORECASE)
_SYMBOL_HINT = re.compile(r"[`@_\\~#/+()]")
_PATTERN_HINT = re.compile(r"[YMDHymdh]{2}[-/:]|%[A-Za-z]")
_DOTTED = re.compile(r"\.[a-zA-Z]")
# Every item below contains a match; slower than the hints, so it runs only if one of them was found.
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


def symbols(text: str, found: list[Literal]) -> str:
    """Remove URLs, addresses, code, file names and operators from the text, appending them to ``found``."""
    patterned = "-" in text or "/" in text or ":" in text or "%" in text
    if not patterned or _PATTERN_HINT.search(text) is None:
        if _SYMBOL_HINT.search(text) is None and _DOTTED.search(text) is None and " -" not in text:
            return text
        if _SYMBOL_START.search(text) is None:  # "and/or", "(see below)", "2 + 2"
            return text

    def replace(match: re.Match[str]) -> str:
        if len(found) >= MAX_FOUND:
            return " "
        kind, item = match.lastgroup, match.group()
        if kind == "initials":
            return item.replace(".", "").upper() + " "
        found.append(_symbol(kind or "", item))
        return f" {chr(PLACEHOLDER + len(found) - 1)} "

    return _SYMBOL.sub(replace, text)


def _symbol(kind: str, item: str) -> Literal:
    read = _KINDS.get(kind)
    return Literal("code", item.removesuffix("()").rstrip(".")) if read is None else read(item)


def _lower(match: re.Match[str]) -> str:
    return match[0].lower()


_KINDS: dict[str, Callable[[str], Literal]] = {
    "code": lambda item: Literal("code", " ".join(item.strip("`").split())),
    "url": lambda item: Literal("urls", _HOST.sub(_lower, _ORIGIN.sub("", item).rstrip("/.,;:!?)'"))),
    "email": lambda item: Literal("urls", item.rstrip(".").lower()),
    "lang": lambda item: Literal("entities", item.lower()),
    # dd/mm/yyyy is not mm/dd/yyyy (CLDR date fields), %H not %h (strftime).
    "pattern": lambda item: Literal("code", item.rstrip(" .,") if "%" in item else item.lower()),
}
