"""What the fuzzer found once, and what it starts from: every input is read as it should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from .watch import CORPUS, LONGEST, TARGETS, check_of, watched

# Other tests run at the same time.
_SLOWNESS = 5.0
INPUTS = sorted(path for path in CORPUS.glob("*/*") if path.is_file())


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_inputs_to_begin_with(target: str) -> None:
    assert any(path.parent.name == target for path in INPUTS)


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_an_input_of_the_corpus_is_read_as_it_should_be(path: Path) -> None:
    data = path.read_bytes()
    assert len(data) <= LONGEST + 64
    watched(check_of(path.parent.name), data, slowness=_SLOWNESS)
