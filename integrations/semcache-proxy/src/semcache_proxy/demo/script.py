"""The requests of the demo, in order: ordinary help-desk questions, with the model's real similarities."""

from __future__ import annotations

from .exchange import Step

QUESTION = "How do I reset my password?"

STEPS = (
    Step(shows="a new question", prompt=QUESTION),
    Step(shows="the same again", prompt=QUESTION),
    Step(shows="in other words", prompt="I need to reset my password, how do I do that?"),
    Step(shows="the same, streamed", prompt=QUESTION, stream=True),
    Step(shows="the same, another caller", prompt=QUESTION, caller="bob"),
    Step(shows="a question with a number", prompt="Can my team of 5 users share one bill?"),
    Step(shows="another number in it", prompt="Can my team of 50 users share one bill?"),
)

MEANINGS = {
    "exact": "the very same request was answered before",
    "semantic": "a request that means the same was answered before",
    "absent": "this very request was not answered before",
    "empty-scope": "this caller has asked nothing of the kind yet",
    "below-threshold": "nothing stored is near enough",
    "numbers": "something near is stored, but its numbers differ",
}
"""The meaning of the reason codes that a first run shows."""
