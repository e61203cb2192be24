"""HTTP semantics: a sans-io exchange with its header rules, directives, codings and framings, and thin drivers."""
