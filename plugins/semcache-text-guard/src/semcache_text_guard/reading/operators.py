"""Finds the operators of a formula, once its figures are placeholders."""

from __future__ import annotations

import re

from .folding import PLACEHOLDER
from .quantities import Literal

# Between figures, where order matters: 2 / 10 is not 10 / 2. Not a dash, which makes ranges.
_ORDERED = re.compile(r"([\ue000-\uf8ff]) *([/^]|[<>]=?) *(?=([\ue000-\uf8ff]))")
_OPERATOR_HINT = re.compile(r"[+*^=<>/]")
_OPERATOR = re.compile(r"(?<=[\w\ue000-\uf8ff)\s])([<>=!]=|[+*^=<>]|(?<=[\ue000-\uf8ff ])/) *(?=[\ue000-\uf8ff(])")


# Alone, a dash between two figures is a range.
_FORMULA = re.compile(rf"{_OPERATOR.pattern}|(?<=\s)-(?=\s)|\((?= *[\ue000-\uf8ff])")
# Also between names: signs and brackets alone between spaces; signs between letters, or before a name; smileys;
# comparisons, arrows and mathematical signs anywhere.
_SIGN_HINT = re.compile(r"[-+*^=<>/&|%$@#~\\()\]}\u2190-\u22ff]|(?<!\S)\.")
_SIGN = re.compile(
    r"(?<!\S)(?:[-+*/=<>!&|^%~.]{1,3}|\(\)|\[\]|\{\}|[:;]-?[()])(?!\S)|(?<=\w)(?:[<>=!]=|[<>=])(?=\w)|[\u2190-\u22ff]"
    r"|(?<=[A-Za-z])(?<!\w[A-Za-z])(?:[-+*^|&\\](?=[A-Za-z](?!\w))|[-+](?!\S))|(?<!\S)[$@#&*!~](?=[A-Za-z_])"
)


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
    if _SIGN_HINT.search(text) is not None:
        found.extend(Literal("code", sign, soft=True) for sign in _SIGN.findall(text)[:100])
    return text


def _ordered(match: re.Match[str], found: list[Literal]) -> str:
    left, right = (found[ord(item) - PLACEHOLDER].key for item in match.group(1, 3))
    return f"{left} {match[2]} {right}"
