"""From a configuration to something open: the registry, assembly, opening."""
