"""Trades and gifts between two players: what they offer, and what is held until all of it is there."""
