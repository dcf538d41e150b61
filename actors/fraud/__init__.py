"""A fraud detector: how suspicious the players are that hash to it, and the cases that people review."""
