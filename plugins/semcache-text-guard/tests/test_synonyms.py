"""Synonyms excuse the one place where two texts differ; words that only look like synonyms do not."""

from __future__ import annotations

import pytest

from semcache_core.types import Accept, Reject
from semcache_text_guard.compare import compare

SAME = [
    ("What is on my pay slip?", "What is on my salary slip?"),
    ("How do I see my pay?", "How do I see my salary?"),
    ("the phone number to contact support", "the phone number to reach support"),
    ("contact the landlord in Oslo", "reach the landlord in Oslo"),
    ("shut the account at my bank", "close the account at my bank"),
    ("stop the newsletter of my bank", "cease the newsletter of my bank"),
    ("quit the course at my school", "stop the course at my school"),
    ("where is the shop in town", "where is the store in town"),
    ("how do I save a file here", "how do I store a file here"),
    ("a crack in the screen of my tablet", "a crack in the display of my tablet"),
    ("accept the terms of the bank", "approve the terms of the bank"),
    ("how does the heart operate in sleep", "how does the heart function in sleep"),
    ("the tools we use at work", "the tools we employ at work"),
    ("employ a gardener for a day", "hire a gardener for a day"),
    ("a good exercise for the back", "a good workout for the back"),
    ("switch on the porch light", "turn on the porch light"),
    ("my mobile phone is broken", "my cell phone is broken"),
]

DIFFERENT = [
    ("How do I close a bank account?", "How do I near a bank account?"),
    ("close a bank account", "near a bank account"),
    ("What is the largest cell in the body?", "What is the largest phone in the body?"),
    ("What is the order of the planets?", "What is the purchase of the planets?"),
    ("How do I order a refund?", "How do I purchase a refund?"),
    ("How can I stop an upload?", "How can I prevent an upload?"),
    ("How do I stop spam?", "How do I prevent spam?"),
    ("Can diabetes be treated?", "Can diabetes be cured?"),
    ("How do I rent a car?", "How do I lease a car?"),
    ("How do I raise the battery charge?", "How do I raise the battery price?"),
    ("what is an odd number in maths", "what is a strange number in maths"),
    ("how do I write a python function", "how do I write a python feature"),
    ("what do I do about a lost card", "what do I do about a stolen card"),
    ("send it by mail", "send it by email"),
    ("a dress for a girl of my size", "a dress for a woman of my size"),
    ("where is Oxford Street in town", "where is Oxford Road in town"),
    ("is Norway in Europe", "is Norway in the EU"),
    ("the price of staff training", "the price of staff workout"),
    ("delete my unit test here", "delete my unit exam here"),
    ("a plan for a mutual fund", "a plan for a mutual cash"),
    ("the level of the lake", "the rating of the lake"),
    ("the staff turnover of the bank", "the staff sales of the bank"),
    ("is commercial use allowed", "is ad use allowed"),
    ("How do I change my passcode?", "How do I change my password?"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_a_synonym_is_accepted_in_either_order(one: str, other: str) -> None:
    assert (compare(one, other), compare(other, one)) == (Accept(), Accept())


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_a_word_of_another_sense_is_rejected_in_either_order(one: str, other: str) -> None:
    assert isinstance(compare(one, other), Reject)
    assert compare(one, other) == compare(other, one)


def test_a_word_that_both_texts_have_stays_what_it_is() -> None:
    # "fast" and "quick" are one word only where each text has but one of them.
    assert compare("is fast before quick in a dictionary", "is quick before fast in a dictionary") == Reject(
        reason="direction", certain=True
    )
