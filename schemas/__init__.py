"""The vocabulary that crosses packages or reaches clients."""
