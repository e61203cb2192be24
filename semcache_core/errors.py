"""Every exception that semcache itself raises.

    SemcacheError
    ├── ConfigError               start-up: something in the configuration is wrong; names the key path
    │   ├── UnknownComponentError     no installed component has that name
    │   └── AmbiguousComponentError   two distributions offer that name
    ├── PluginError               a plugin could not be loaded or breaks the plugin protocol
    ├── NotOpenError              a component is used before it was opened or after it was closed
    ├── WrongLoopError            a blocking call on the cache's home loop would deadlock
    ├── DependencyError           something behind the cache failed; a lookup turns it into a miss
    │   ├── EmbedderUnavailable
    │   │   ├── TextTooLong           the text is longer than the embedder's window
    │   │   └── TextUnreadable        the text has characters that the embedder's model cannot distinguish
    │   ├── StoreUnavailable
    │   ├── VerifierUnavailable
    │   └── CacheUnavailable      the cache is not open: a component was down, or it was closed meanwhile
    ├── AnswerAborted             an answer shared with an equal request broke off in the middle
    ├── DimensionMismatch         a vector of the wrong length reached a store, or an embedder made one
    └── UnsupportedByStore        the store lacks an optional protocol that the call needs

Only ``ConfigError``, ``PluginError``, ``NotOpenError`` and ``WrongLoopError`` ever reach the code that uses
the cache: they stop start-up or name a programming error. So does ``DependencyError`` where a caller has to know that
nothing happened: from ``invalidate`` and ``reject``. ``AnswerAborted`` reaches the server around the HTTP driver: a
reason to cut the connection. All others end in a miss and an event.
"""

from __future__ import annotations


class SemcacheError(Exception):
    """Base of every exception that semcache itself raises."""


class ConfigError(SemcacheError):
    """The configuration is wrong; the message names the key path and the remedy, if there is one."""


class UnknownComponentError(ConfigError):
    """No installed component of this kind has the requested name."""


class AmbiguousComponentError(ConfigError):
    """Two installed distributions offer a component of the requested name."""


class PluginError(SemcacheError):
    """A plugin could not be loaded, or breaks the plugin protocol; names the distribution and the stage."""


class NotOpenError(SemcacheError):
    """A component is used outside ``async with``, or an open cache is entered again."""


class WrongLoopError(SemcacheError):
    """A blocking call was made on the cache's home loop, where it would deadlock."""


class DependencyError(SemcacheError):
    """A component behind the cache failed. The request continues as a miss."""


class EmbedderUnavailable(DependencyError):
    """The embedder cannot make a vector now: unreachable, refused, or not loaded."""


class TextTooLong(EmbedderUnavailable):
    """The text does not fit the embedder's window; it is never cut silently."""


class TextUnreadable(EmbedderUnavailable):
    """The text has characters or a script that the embedder's model does not know: different texts would look equal."""


class StoreUnavailable(DependencyError):
    """A store cannot read or write now: unreachable, locked, full, or read-only."""


class VerifierUnavailable(DependencyError):
    """A verifier cannot give a verdict now. The engine treats it as a reject."""


class CacheUnavailable(DependencyError):
    """The cache is not open: a component was down at opening, or the cache was closed meanwhile."""


class AnswerAborted(SemcacheError):
    """An answer shared with an equal request broke off in the middle.

    The server must close the connection, so that the client does not take the answer for complete.
    """


class DimensionMismatch(SemcacheError):
    """A vector's number of dimensions differs from that of its space."""


class UnsupportedByStore(SemcacheError):
    """The store lacks an optional protocol that this call needs; the message names it."""
