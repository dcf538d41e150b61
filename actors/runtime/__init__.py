"""The plumbing: whatever waits. Ray, Postgres and Redis each have one home file here."""
