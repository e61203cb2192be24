"""The rules: what two texts must agree in for an answer to one to be an answer to the other."""
