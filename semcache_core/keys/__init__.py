"""Identity of a request: canonical form, digests, partitions, and the text that may be compared. Pure code."""
