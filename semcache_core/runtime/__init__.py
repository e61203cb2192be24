"""From a configuration to an open cache: registry, assembly, opening, life cycle."""
