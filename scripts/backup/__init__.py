"""Backup and restore of everything that a Greenroom holds: one compressed file of SQL, taken while the game goes on."""
