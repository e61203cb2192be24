"""The options of ``same-script``."""

from typing import Annotated

from msgspec import Meta

from semcache_core.protocols import Options


class SameScriptOptions(Options, frozen=True):
    """What may stand in ``same-script = { ... }``."""

    ignore: Annotated[
        tuple[str, ...], Meta(description="Scripts that do not count, as Unicode names them: LATIN, CYRILLIC, HAN ...")
    ] = ()
