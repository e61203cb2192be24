"""The semantic cache as a reverse proxy in front of one LLM service: ``semcache serve --upstream https://llm.example``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import create_app

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    # Listing the installed plugins imports this package, so Starlette and httpx are imported only to create an app.
    if name == "create_app":
        from .app import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
