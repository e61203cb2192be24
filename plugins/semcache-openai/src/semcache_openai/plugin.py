"""The entry-point module: offers the key extractor; imports nothing heavy."""

from semcache_core.plugin import Component, hookimpl

semcache_api = (1, 0)


@hookimpl
def semcache_key_extractors() -> list[Component]:
    """Offer the ``openai-chat`` key extractor."""
    return [
        Component(
            "openai-chat",
            factory="semcache_openai.chat:OpenAIChat",
            summary="POST .../chat/completions, of every provider that speaks OpenAI's chat protocol",
        )
    ]
