"""What comes with the core: stores and key extractors, registered through the same hooks as anybody's."""
