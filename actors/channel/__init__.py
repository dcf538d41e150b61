"""A channel: who is in it, what was said, and what moderators do about it."""
