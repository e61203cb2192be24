"""What comes with the core: stores and a verifier, registered through the same hooks as anybody's."""
