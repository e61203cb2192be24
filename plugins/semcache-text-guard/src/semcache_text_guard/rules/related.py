"""Whether two words are forms of one word."""

from __future__ import annotations

from semcache_text_guard.language.english import ENDINGS


def related(x: str, y: str) -> bool:
    """True for two forms of one word, or one word with a letter dropped or two exchanged by a slip of the pen.

    = the job of an engineer in Peru | a job in engineering in Peru
    = How do I lose weight? | How do I loose weight?
    """
    if len(x) > len(y):
        x, y = y, x
    size = _same(x, y)
    if y in (x, x + "s") or (len(x) > 2 and y.startswith(x) and len(y) > len(x) + 2):
        return True
    return _derived(x, y, size) or _misspelled(x, y, size)


def _same(x: str, y: str) -> int:
    """Return how many letters two words begin with alike."""
    size = 0
    for p, q in zip(x, y, strict=False):
        if p != q:
            break
        size += 1
    return size


def _derived(x: str, y: str, size: int) -> bool:
    return size >= 4 and any(x[cut:] in ENDINGS and y[cut:] in ENDINGS for cut in range(max(4, size - 4), size + 1))


def _misspelled(x: str, y: str, size: int) -> bool:
    if len(x) < 4 or x[0] != y[0]:
        return False
    if len(x) == len(y):
        return len(x) > 4 and x[size : size + 2] == y[size : size + 2][::-1] and x[size + 2 :] == y[size + 2 :]
    # In a short word only a letter that was doubled, or should have been: "lose", "loose".
    return len(y) == len(x) + 1 and x[size:] == y[size + 1 :] and (len(x) > 4 or y[size] == y[size - 1])
