-- More ways to come in: second factors of accounts, and identities that an OpenID issuer vouches for.

-- What an account asks for besides the first factor. `last_step` is the last time step whose code was accepted: each
-- code of an authenticator app works once.
CREATE TABLE mfa_factor (
    user_id    text COLLATE "C" NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    method     text COLLATE "C" NOT NULL CHECK (method IN ('totp', 'email')),
    secret     text COLLATE "C",
    address    text COLLATE "C",
    last_step  bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, method),
    CHECK ((method = 'totp') = (secret IS NOT NULL)),
    CHECK ((method = 'email') = (address IS NOT NULL))
);

-- Recovery codes that were not used yet, hashed.
CREATE TABLE mfa_recovery (
    user_id   text COLLATE "C" NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    code_hash bytea NOT NULL,
    PRIMARY KEY (user_id, code_hash)
);

-- What waits for a code: a login whose first factor was right, a factor that is being enrolled, a change.
CREATE TABLE mfa_pending (
    id         bytea PRIMARY KEY,
    user_id    text COLLATE "C" NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    purpose    text COLLATE "C" NOT NULL CHECK (purpose IN ('login', 'totp', 'email', 'change')),
    secret     text COLLATE "C",
    address    text COLLATE "C",
    code_hash  bytea,
    device     text COLLATE "C" NOT NULL DEFAULT '',
    tries      smallint NOT NULL DEFAULT 0,
    mails      smallint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX mfa_pending_user ON mfa_pending (user_id, created_at);
CREATE INDEX mfa_pending_expires ON mfa_pending (expires_at);

-- Wrong codes since the last right one, by where they came from: guesses elsewhere do not lock the owner out.
CREATE TABLE mfa_failure (
    user_id text COLLATE "C" NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    whence  text COLLATE "C" NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX mfa_failure_user ON mfa_failure (user_id, whence, at);
CREATE INDEX mfa_failure_at ON mfa_failure (at);

-- Who an issuer says that somebody is. Only issuer and subject tell people apart; the address may be anybody's.
CREATE TABLE identity (
    id        text COLLATE "C" PRIMARY KEY DEFAULT gen_random_uuid()::text,
    user_id   text COLLATE "C" NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    issuer    text COLLATE "C" NOT NULL,
    subject   text COLLATE "C" NOT NULL,
    provider  text COLLATE "C" NOT NULL,
    email     text COLLATE "C",
    linked_at timestamptz NOT NULL DEFAULT now(),
    used_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT identity_subject UNIQUE (issuer, subject)
);
CREATE INDEX identity_user ON identity (user_id, linked_at);

-- A login at an issuer that a client has yet to take up, with the code that its browser was given.
CREATE TABLE identity_proof (
    id         bytea PRIMARY KEY,
    issuer     text COLLATE "C" NOT NULL,
    subject    text COLLATE "C" NOT NULL,
    provider   text COLLATE "C" NOT NULL,
    email      text COLLATE "C",
    challenge  text COLLATE "C" NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX identity_proof_expires ON identity_proof (expires_at);
