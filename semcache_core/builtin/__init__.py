"""The core's own stores and key extractors, registered through the same hooks as every plugin's."""
