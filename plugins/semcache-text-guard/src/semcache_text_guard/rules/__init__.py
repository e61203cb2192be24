"""The rules: in what two texts must agree, so that an answer to one is an answer to the other."""
