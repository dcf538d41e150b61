"""The vocabulary that crosses packages or reaches clients: shapes, bounds, refusals and link messages."""
