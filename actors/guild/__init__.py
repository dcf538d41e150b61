"""Guilds: players who belong together, what they hold in common, and the directory in which they are found."""
