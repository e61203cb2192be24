"""Every exception that semcache raises on purpose.

    SemcacheError
    ├── ConfigError               start-up: something in the configuration is wrong; names the key path
    │   ├── UnknownComponentError     no installed component has that name
    │   └── AmbiguousComponentError   two distributions offer that name
    ├── PluginError               a plugin could not be loaded or breaks the plugin protocol
    ├── NotOpenError              a component is used before it was opened or after it was closed
    ├── WrongLoopError            a blocking call on the cache's own event loop would wait for itself
    ├── DependencyError           something behind the cache failed; a lookup turns it into a miss
    │   ├── EmbedderUnavailable
    │   │   ├── TextTooLong           the text is longer than the embedder's window
    │   │   └── TextUnreadable        the text has characters that the embedder's model cannot tell apart
    │   ├── StoreUnavailable
    │   ├── VerifierUnavailable
    │   └── CacheUnavailable      the cache is not open: what it needs was down, or it was closed meanwhile
    ├── AnswerAborted             an answer that a request shared with an equal one broke off in the middle
    ├── DimensionMismatch         a vector of the wrong length reached a store, or an embedder made one
    └── UnsupportedByStore        the chosen store lacks the power that the call needs

Only ``ConfigError``, ``PluginError``, ``NotOpenError`` and ``WrongLoopError`` ever reach the code that uses
the cache: they stop start-up or name a programming error. So does ``DependencyError`` where a caller has to know that
nothing happened: from ``invalidate`` and ``reject``. ``AnswerAborted`` reaches the server around the HTTP driver: a
reason to cut the connection. All others end in a miss and an event.
"""

from __future__ import annotations


class SemcacheError(Exception):
    """Base of every exception that semcache raises on purpose."""


class ConfigError(SemcacheError):
    """The configuration is wrong; the message names the key path and, where there is one, the remedy."""


class UnknownComponentError(ConfigError):
    """No installed component of this kind has the name that was asked for."""


class AmbiguousComponentError(ConfigError):
    """Two installed distributions offer a component of the name that was asked for."""


class PluginError(SemcacheError):
    """A plugin could not be loaded, or breaks the plugin protocol; names the distribution and the stage."""


class NotOpenError(SemcacheError):
    """A component is used outside ``async with``, or a cache that is open is entered once more."""


class WrongLoopError(SemcacheError):
    """A blocking call was made on the event loop on which the cache lives: it would wait for itself."""


class DependencyError(SemcacheError):
    """Something behind the cache failed. The request goes on as a miss."""


class EmbedderUnavailable(DependencyError):
    """The embedder cannot make a vector now: not reachable, refused, or not loaded."""


class TextTooLong(EmbedderUnavailable):
    """The text does not fit the embedder's window; it is never cut silently."""


class TextUnreadable(EmbedderUnavailable):
    """The text has characters or a script that the embedder's model does not know: different texts would look equal."""


class StoreUnavailable(DependencyError):
    """A store cannot read or write now: not reachable, locked, full, or read-only."""


class VerifierUnavailable(DependencyError):
    """A verifier cannot judge now. The engine takes it for a reject."""


class CacheUnavailable(DependencyError):
    """The cache is not open: something that it needs was down when it was opened, or it was closed meanwhile."""


class AnswerAborted(SemcacheError):
    """An answer that this request shared with an equal one broke off in the middle; the client must not take it for
    whole, so the server is to cut the connection.
    """


class DimensionMismatch(SemcacheError):
    """A vector has another number of dimensions than the space it is meant for."""


class UnsupportedByStore(SemcacheError):
    """The chosen store lacks the power that this call needs; the message names the protocol."""
