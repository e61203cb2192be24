"""Decides whether the answer to one text may answer another: the rules, in the order in which they run.

The first rule that finds a difference decides. The later a rule runs, the more similar the texts are by then.
"""

from __future__ import annotations

from semcache_core.types import Accept, Reject, Verdict

from .reading.parse import parse
from .rules import asked, exchange, items, names, opposites, picked, roles, slots, spelling
from .rules.rule import Pair, Rule

_ACCEPT = Accept()

RULES = (
    Rule(
        differs=items.items,
        reasons=("numbers", "dates", "ids", "versions", "units", "urls", "code", "entities"),
    ),
    Rule(differs=items.quotes, reasons=("quotes",)),
    Rule(differs=spelling.accents, reasons=("accents",)),
    Rule(differs=spelling.symbols, reasons=("symbols",)),
    Rule(differs=opposites.opposite, reasons=("antonyms",), certain=False),
    Rule(differs=opposites.particles, reasons=("antonyms",), certain=False, within=1),
    Rule(differs=opposites.switched, reasons=("antonyms",), certain=False),
    Rule(differs=items.bounds, reasons=("numbers",)),
    Rule(differs=names.of_one_set, reasons=("dates", "entities")),
    Rule(differs=names.one_more, reasons=("entities",), within=1),
    Rule(differs=names.capitals, reasons=("entities",)),
    Rule(differs=slots.slots, reasons=("entities",)),
    Rule(differs=roles.ends, reasons=("direction",)),
    Rule(differs=exchange.transposed, reasons=("direction",)),
    Rule(differs=roles.turned, reasons=("direction",), within=0),
    Rule(differs=roles.argument, reasons=("direction",), within=0),
    Rule(differs=roles.part, reasons=("direction",), within=0),
    Rule(differs=roles.owned, reasons=("direction",), within=0),
    Rule(differs=asked.asked, reasons=("question", "modality")),
    Rule(differs=asked.opening, reasons=("question",), within=2),
    Rule(differs=picked.picked, reasons=("dates", "quantifiers"), within=4),
    Rule(differs=picked.all_or_some, reasons=("quantifiers",), within=2),
    Rule(differs=picked.excepted, reasons=("antonyms",), within=2),
    Rule(differs=opposites.denied, reasons=("negation",), penalty=0.03),
)


def compare(query: str, candidate: str) -> Verdict:
    """Say whether the answer to ``candidate`` may answer ``query``. Symmetric, never raises, linear time."""
    if query == candidate:
        return _ACCEPT
    a, b = parse(query), parse(candidate)
    if a is None or b is None:
        return Reject(reason="length")
    pair = Pair(a, b)
    for rule in RULES:
        if rule.within is None or pair.only.differing <= rule.within:
            reason = rule.differs(pair)
            if reason is not None:
                return rule.verdict(reason)
    return _ACCEPT
