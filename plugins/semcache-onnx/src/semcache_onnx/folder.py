"""Reads a model's folder, in the layout of the Hugging Face hub and of sentence-transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from semcache_core.errors import ConfigError

from .options import Pooling

ONNX_NAMES = ("model.onnx", "onnx/model.onnx")
"""The default paths of the ONNX file, in order of preference."""

SIDE_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "config.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
)
"""The files read besides the ONNX file; all but the first may be missing."""

# Position ids of these models begin after the padding token's, so two positions in config.json are not for tokens.
_OFFSET_POSITIONS = {"roberta", "xlm-roberta", "camembert", "mpnet"}

# transformers writes 1e30 for "no known bound".
_NO_BOUND = 1_000_000


def onnx_file(path: Path, *, file: str | None, place: str) -> Path:
    """Return the ONNX file of a model's folder. Raises ConfigError if there is none, or several to choose from."""
    if file is not None:
        if (path / file).is_file():
            return path / file
        raise ConfigError(f"no file {file!r} in {str(path)!r} (embedder.file); it has: {_listed(path)}")
    for name in ONNX_NAMES:
        if (path / name).is_file():
            return path / name
    others = sorted(path.glob("**/*.onnx"))
    if len(others) == 1:
        return others[0]
    raise ConfigError(
        f"no model.onnx in {str(path)!r} ({place}); it has: {_listed(path)}. Choose with embedder.file, or make one "
        "with 'optimum-cli export onnx --model NAME FOLDER'"
    )


def tokenizer_file(path: Path, *, place: str) -> Path:
    """Return the folder's tokenizer.json. Raises ConfigError if it is missing."""
    found = path / "tokenizer.json"
    if not found.is_file():
        raise ConfigError(
            f"no tokenizer.json in {str(path)!r} ({place}); "
            "AutoTokenizer.from_pretrained(NAME, use_fast=True).save_pretrained(FOLDER) writes it"
        )
    return found


def pooling(path: Path) -> Pooling | None:
    """Return the pooling in the sentence-transformers configuration; None if it is missing or not supported."""
    config = _json(path / "1_Pooling" / "config.json")
    if config.get("pooling_mode_cls_token"):
        return "cls"
    if config.get("pooling_mode_mean_tokens"):
        return "mean"
    return None


def window(path: Path) -> int | None:
    """Return the model's maximum number of tokens, special ones included: the smallest bound in its files."""
    config = _json(path / "config.json")
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int) and config.get("model_type") in _OFFSET_POSITIONS:
        positions -= 2
    bounds = (
        positions,
        _json(path / "sentence_bert_config.json").get("max_seq_length"),
        _json(path / "tokenizer_config.json").get("model_max_length"),
    )
    return min((bound for bound in bounds if isinstance(bound, int) and 0 < bound < _NO_BOUND), default=None)


def _json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; empty if there is no such file."""
    if not path.is_file():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path} is not a JSON object: {error}") from error


def _listed(path: Path) -> str:
    return ", ".join(str(found.relative_to(path)) for found in sorted(path.glob("**/*.onnx"))) or "no ONNX file"
