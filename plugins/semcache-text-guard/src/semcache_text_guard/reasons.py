"""The reason codes of ``text-guard``, in a separate module: listing plugins must not load the rules."""

from __future__ import annotations

from semcache_core.reasons import Reason

_ANOTHER = "Nothing: these are two questions. If they are one, the pair is a case for the guard's tests."


def _differs(code: str, sentence: str) -> Reason:
    return Reason(code, "miss", sentence, _ANOTHER)


REASONS = (
    _differs("accents", "The texts have one word with other accents, or in letters that look alike."),
    _differs("antonyms", "One text has a word and the other its opposite."),
    _differs("code", "The texts name different code, files, paths or operators."),
    _differs("dates", "The texts name different dates, times, weekdays or seasons."),
    _differs("direction", "What comes from and goes to, or does and is done to, changes places."),
    _differs("entities", "The texts name different people, places or things."),
    _differs("ids", "The texts name different ids, phone or card numbers."),
    Reason(
        "length",
        "miss",
        "A text over 4,096 characters, or with more than 128 figures or 32 quotes, answers only itself.",
        "Nothing: equal requests still match.",
    ),
    _differs("modality", "One text asks whether something may be, the other whether it must or should."),
    _differs("negation", "One text denies what the other says, which takes 0.03 off the similarity."),
    _differs("numbers", "The texts hold different numbers."),
    _differs("quantifiers", "The texts choose differently among things of one kind: all, any, this, one of."),
    _differs("question", "The texts ask different questions: when, where, why, how."),
    _differs("quotes", "The texts quote different words."),
    _differs("symbols", "The texts hold different symbols, emoji or characters that are not seen."),
    _differs("units", "The texts hold different quantities or amounts of money."),
    _differs("urls", "The texts name different addresses."),
    _differs("versions", "The texts name different versions or IP addresses."),
)
"""Every code that ``compare`` returns."""
