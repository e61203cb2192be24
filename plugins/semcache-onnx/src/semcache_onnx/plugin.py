"""The entry-point module: offers the embedder; imports nothing heavy."""

from semcache_core.plugin import Component, hookimpl

semcache_api = (1, 0)


@hookimpl
def semcache_embedders() -> list[Component]:
    """Offer the ``onnx`` embedder."""
    return [
        Component(
            "onnx",
            factory="semcache_onnx.embedder:OnnxEmbedder",
            summary="sentence embeddings from an ONNX file, on this machine; bundles bge-small-en-v1.5 with [bundled]",
            local=True,
        )
    ]
