"""Chaos: players load a Greenroom while its processes are killed, and `verify` judges what came of it."""
