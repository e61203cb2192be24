"""The installed wheel: the files that semcache-onnx expects, and the licences of both its parts."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path

import pytest

import semcache_bge_small
from semcache_onnx.known import WHEELS

PACKAGE = Path(semcache_bge_small.__file__).parent
EXPECTED = next(wheel for wheel in WHEELS if wheel.package == "semcache_bge_small")


@pytest.mark.parametrize(
    ("file", "digest"),
    [(EXPECTED.onnx, EXPECTED.onnx_sha256), (EXPECTED.tokenizer, EXPECTED.tokenizer_sha256)],
)
def test_the_files_are_those_that_were_measured(file: str, digest: str) -> None:
    assert hashlib.sha256((PACKAGE / file).read_bytes()).hexdigest() == digest


def test_it_needs_nothing_else() -> None:
    assert not importlib.metadata.requires("semcache-bge-small")


def test_the_models_licence_is_shipped_beside_our_own() -> None:
    written = importlib.metadata.metadata("semcache-bge-small")
    assert written["License-Expression"] == "Apache-2.0 AND MIT"
    assert written.get_all("License-File") == ["LICENSE", "LICENSE.bge-small-en-v1.5"]
