"""The game: pure rules, one file for a kind, and the plumbing that runs them in `actors.runtime`."""
