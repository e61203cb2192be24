"""Imports the packages of the extra ``[testing]``, or says how to install it."""

from semcache_core.remedies import pip_install

try:
    import hypothesis  # noqa: F401
    import pytest  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"semcache_core.testing needs {error.name}: {pip_install('semcache-core[testing]')}", name=error.name
    ) from error
