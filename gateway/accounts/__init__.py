"""Who comes in: accounts, passwords, tokens, sessions and sanctions, with Postgres as their truth."""
