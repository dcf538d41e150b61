-- What the door answered to requests about accounts that named themselves (`Idempotency-Key`), written in one commit with
-- their effect and kept for two days. `op` and `request` are hashes: of the key, and of what was asked without its
-- secrets. `caller` is a user's id, or `name:` and the name that somebody unknown asked for. `answer` is JSON, and holds
-- no token and no password.
CREATE TABLE operation (
    caller  text COLLATE "C" NOT NULL,
    op      bytea NOT NULL,
    request bytea NOT NULL,
    answer  bytea NOT NULL,
    at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (caller, op)
);
CREATE INDEX operation_at ON operation (at);
