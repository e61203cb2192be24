"""A tiny embedding model, made here, and a stub of the Hugging Face hub that serves it over HTTP."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers, processors

# No test may ask the real hub; those that ask the stub say so, in a process of their own.
os.environ["HF_HUB_OFFLINE"] = "1"

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "how", "do", "i", "reset", "my", "password"]
MakeModel = Callable[..., Path]


def _graph(*, inputs: tuple[str, ...], pooled: bool, token_type: int, scale: float) -> onnx.ModelProto:
    """Look each token up in a table of random rows, width 8; ``pooled`` averages them inside the graph."""
    table = np.random.default_rng(7).normal(size=(len(WORDS), 8)).astype(np.float32) * np.float32(scale)
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["rows"])]
    if pooled:
        nodes.append(helper.make_node("ReduceMean", ["rows"], ["out"], axes=[1], keepdims=0))
    else:
        nodes.append(helper.make_node("Identity", ["rows"], ["out"]))
    shape = ["batch", 8] if pooled else ["batch", "sequence", 8]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, token_type, ["batch", "sequence"]) for name in inputs],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(table, "table")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def _tokenizer() -> Tokenizer:
    ids = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    # As published models do: cut at 4 tokens, pad to 6. The embedder must undo both.
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=6)
    return tokenizer


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """Write a model folder and return it; ``configs`` maps further file names to JSON objects."""

    def make(
        name: str = "tiny",
        *,
        file: str = "model.onnx",
        inputs: tuple[str, ...] = ("input_ids", "attention_mask"),
        pooled: bool = False,
        token_type: int = TensorProto.INT64,
        scale: float = 1.0,
        configs: dict[str, dict[str, Any]] | None = None,
    ) -> Path:
        folder = tmp_path / name
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        graph = _graph(inputs=inputs, pooled=pooled, token_type=token_type, scale=scale)
        (folder / file).write_bytes(graph.SerializeToString())
        _tokenizer().save(str(folder / "tokenizer.json"))
        for path, content in (configs or {"config.json": {"max_position_embeddings": 16}}).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(json.dumps(content))
        return folder

    return make


class HubStub:
    """Stands in for the Hugging Face hub: one public repository, ``acme/tiny``, and every request that came in."""

    commit = "0123456789abcdef0123456789abcdef01234567"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if path in ("/api/models/acme/tiny/revision/main", "/api/models/acme/tiny"):
            return 200, {}, json.dumps({"id": "acme/tiny", "sha": self.commit, "siblings": self._siblings()}).encode()
        if path == f"/api/models/acme/tiny/tree/{self.commit}":
            return 200, {}, json.dumps(self._tree()).encode()
        prefix = f"/acme/tiny/resolve/{self.commit}/"
        if path.startswith(prefix):
            body = (self.folder / path.removeprefix(prefix)).read_bytes()
            return 200, {"ETag": f'"{hashlib.sha1(body).hexdigest()}"', "X-Repo-Commit": self.commit}, body
        if path.startswith("/api/models/acme/tiny/"):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        return 404, {"X-Error-Code": "RepoNotFound"}, b""

    def _files(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("**/*") if path.is_file())

    def _siblings(self) -> list[dict[str, str]]:
        return [{"rfilename": str(path.relative_to(self.folder))} for path in self._files()]

    def _tree(self) -> list[dict[str, Any]]:
        return [
            {
                "type": "file",
                "path": str(path.relative_to(self.folder)),
                "size": path.stat().st_size,
                "oid": hashlib.sha1(path.read_bytes()).hexdigest(),
            }
            for path in self._files()
        ]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                stub.requests.append(f"{self.command} {path}")
                status, headers, body = stub.answer(path)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, format: str, *args: object) -> None:
                """Stay quiet."""

        return Handler


@pytest.fixture
def hub(make_model: MakeModel) -> Iterator[HubStub]:
    stub = HubStub(
        make_model(
            "repository",
            file="onnx/model.onnx",
            configs={
                "config.json": {"max_position_embeddings": 16},
                "1_Pooling/config.json": {"pooling_mode_mean_tokens": True},
            },
        )
    )
    (stub.folder / "pytorch_model.bin").write_bytes(b"gigabytes that nobody needs")
    thread = threading.Thread(target=stub.server.serve_forever, daemon=True)
    thread.start()
    yield stub
    stub.server.shutdown()
    stub.server.server_close()
    thread.join()
