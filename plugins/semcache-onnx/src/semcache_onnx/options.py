"""The options of the ``onnx`` embedder: ``[embedder]`` with ``use = "onnx"``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from semcache_core.protocols import Options, Thresholds

Pooling = Literal["cls", "mean", "model"]
Bundle = Literal["bge-small-en-v1.5", "all-minilm-l6-v2"]


class OnnxOptions(Options, frozen=True):
    """The model, and how to pool its output. Without ``path`` and ``model``: a bundled model."""

    path: Annotated[str | None, Meta(description="Folder with the ONNX file and its tokenizer.json.")] = None
    model: Annotated[
        str | None,
        Meta(description="Name on the Hugging Face hub, for example `BAAI/bge-small-en-v1.5`."),
    ] = None
    revision: Annotated[
        str | None, Meta(description="Branch, tag or commit of `model`. A cached commit needs no network.")
    ] = None
    bundled: Annotated[
        Bundle | None, Meta(description="Which bundled model; default: the first that is installed.")
    ] = None
    file: Annotated[
        str | None,
        Meta(description="The ONNX file in the folder or repository; default `model.onnx`, `onnx/model.onnx`."),
    ] = None
    pooling: Annotated[
        Pooling | None,
        Meta(
            description="`cls`, `mean`, or `model` (the file itself puts out one vector a text). "
            "Default: what the model's 1_Pooling/config.json says."
        ),
    ] = None
    prefix: Annotated[
        str, Meta(description="Put before every text, for models that want it, for example `query: ` with e5.")
    ] = ""
    max_tokens: Annotated[
        Annotated[int, Meta(ge=3)] | None,
        Meta(description="The window, special tokens included. Default: what the model's own files say."),
    ] = None
    latin_only: Annotated[
        bool | None,
        Meta(
            description="Texts with letters of another script than Latin match exactly only. "
            "Default: true for the two English models, else false."
        ),
    ] = None
    thresholds: Annotated[
        Thresholds | None, Meta(description="What suits this model: `{ safe = .., balanced = .., loose = .. }`.")
    ] = None
