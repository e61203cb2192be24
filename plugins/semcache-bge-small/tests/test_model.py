"""The installed wheel: the files that semcache-onnx expects, no requirements, and the licences of both its parts."""

from __future__ import annotations

import importlib.metadata

from semcache_onnx.options import OnnxOptions
from semcache_onnx.sources import locate


def test_semcache_onnx_finds_the_model_and_accepts_its_digests() -> None:
    files = locate(OnnxOptions(bundled="bge-small-en-v1.5"))
    assert (files.onnx.parent.name, files.onnx.name) == ("semcache_bge_small", "model.onnx")
    assert files.revision == "68807e3ff2abb83c+d241a60d5e8f04cc"


def test_its_folder_serves_as_a_model_folder() -> None:
    folder = locate(OnnxOptions(bundled="bge-small-en-v1.5")).onnx.parent
    assert locate(OnnxOptions(path=str(folder), pooling="cls")).max_tokens == 512


def test_it_needs_nothing_else() -> None:
    assert not importlib.metadata.requires("semcache-bge-small")


def test_the_models_licence_is_shipped_beside_our_own() -> None:
    written = importlib.metadata.metadata("semcache-bge-small")
    assert written["License-Expression"] == "Apache-2.0 AND MIT"
    assert written.get_all("License-File") == ["LICENSE", "LICENSE.bge-small-en-v1.5"]
