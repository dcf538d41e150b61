"""The servers that come with Greenroom: real Postgres, Valkey and Ray, supervised, in one folder, on loopback only."""
