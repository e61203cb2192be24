"""The ``semcache`` program. It needs the extra ``[cli]``; everything else of the core works without."""

from semcache_core.cli.start import main

__all__ = ["main"]
