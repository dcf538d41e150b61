"""A leaderboard: who ranks where; one actor for each shard of a board."""
