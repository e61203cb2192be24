"""The identity of a request: canonical form, digests, partitions, and the comparable text. Pure code."""
