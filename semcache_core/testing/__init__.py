"""The contract kit: tests whether a plugin does what the engine relies on. Needs ``semcache-core[testing]``.

Subclass the contract of your kind in a test file, under a name that begins with ``Test``, and run pytest::

    from semcache_core.testing import VectorStoreContract

    class TestMyStore(VectorStoreContract):
        def make(self):
            return MyStore(MyOptions())

Each inherited test is one promise, named by the test. ``docs/how-to/write-a-plugin.md`` shows a whole plugin.
"""

from semcache_core.testing import _extra  # noqa: F401  # isort: skip  (it says what to install)

import pytest

# Before the imports below: pytest rewrites a module's assertions when it is first loaded, so that failures show values.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{name}"
        for name in (
            "_answers",
            "_response_powers",
            "_vector_powers",
            "embedders",
            "key_extractors",
            "plugins",
            "response_stores",
            "vector_stores",
            "verifiers",
        )
    )
)

from semcache_core.testing._answers import AnswerSample  # noqa: E402
from semcache_core.testing._contract import ContractBroken  # noqa: E402
from semcache_core.testing.doubles import CountingEmbedder, FlakyStore, FrozenClock, RecordingObserver  # noqa: E402
from semcache_core.testing.embedders import EmbedderContract  # noqa: E402
from semcache_core.testing.key_extractors import KeyExtractorContract  # noqa: E402
from semcache_core.testing.plugins import PluginContract  # noqa: E402
from semcache_core.testing.response_stores import ResponseStoreContract  # noqa: E402
from semcache_core.testing.vector_stores import VectorStoreContract  # noqa: E402
from semcache_core.testing.verifiers import VerifierContract  # noqa: E402

__all__ = [
    "AnswerSample",
    "ContractBroken",
    "CountingEmbedder",
    "EmbedderContract",
    "FlakyStore",
    "FrozenClock",
    "KeyExtractorContract",
    "PluginContract",
    "RecordingObserver",
    "ResponseStoreContract",
    "VectorStoreContract",
    "VerifierContract",
]
