"""A player: who it is, what it has earned, and what it holds; a file for each facet."""
