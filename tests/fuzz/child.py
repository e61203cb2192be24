"""One target under atheris, in a process of its own: ``python -m tests.fuzz.child TARGET FINDINGS LIBFUZZER...``.

It saves one input for each kind of failure, and goes on.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import atheris

from .watch import check_of, place_of, watched

_SLOWNESS = 6.0


def main(target: str, findings: Path, arguments: list[str]) -> None:
    """Fuzz until libFuzzer's own limit."""
    with atheris.instrument_imports(include=["semcache_core", "semcache_openai", "semcache_text_guard"]):
        check = check_of(target)
    seen: set[str] = set()

    def one(data: bytes) -> None:
        try:
            watched(check, data, slowness=_SLOWNESS)
        except Exception as error:  # noqa: BLE001  every failure is a finding
            place = place_of(error)
            if place not in seen:
                seen.add(place)
                name = f"found-{hashlib.sha256(data).hexdigest()[:12]}"
                findings.mkdir(parents=True, exist_ok=True)
                (findings / name).write_bytes(data)
                print(f"FOUND {target}/{name}: {place}: {str(error)[:500]}", flush=True)

    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
