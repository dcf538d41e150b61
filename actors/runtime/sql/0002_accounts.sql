-- Who may come in: accounts, their sessions, what was imposed on them, and who did what with a privilege.

-- One row for each player that can exist. Registered accounts have a username and a password; guests a device;
-- provisioned ones an external id. `name_folded` and `name_shown` are two skeletons of the username: two names that
-- differ in case only share the first, two that look alike the second, and both are unique.
CREATE TABLE account (
    id            text COLLATE "C" PRIMARY KEY DEFAULT gen_random_uuid()::text,
    username      text COLLATE "C",
    name_folded   text COLLATE "C",
    name_shown    text COLLATE "C",
    display_name  text COLLATE "C" NOT NULL,
    email         text COLLATE "C",
    email_folded  text COLLATE "C",
    password      text COLLATE "C",
    device        bytea,
    external_id   text COLLATE "C",
    roles         text[] NOT NULL DEFAULT '{player}'
                  CHECK (roles <@ '{player,server,moderator,designer,operator,admin}'::text[]),
    player_made   boolean NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL DEFAULT now(),
    last_login_at timestamptz,
    changed_at    timestamptz,
    CONSTRAINT account_name_folded UNIQUE (name_folded),
    CONSTRAINT account_name_shown  UNIQUE (name_shown),
    CONSTRAINT account_email       UNIQUE (email_folded),
    CONSTRAINT account_device      UNIQUE (device),
    CONSTRAINT account_external    UNIQUE (external_id),
    CHECK ((username IS NULL) = (password IS NULL))
);
-- `changed_at` is set when roles or names change, so that gateways find what to refresh.
CREATE INDEX account_changed ON account (changed_at) WHERE changed_at IS NOT NULL;

-- One row for each login: the family of all refresh tokens that came from it. Only the current token is valid.
CREATE TABLE session (
    id           text COLLATE "C" PRIMARY KEY DEFAULT gen_random_uuid()::text,
    user_id      text COLLATE "C" NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    refresh_hash bytea NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    used_at      timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz,
    revoked_for  text,
    address      text NOT NULL,
    user_agent   text NOT NULL DEFAULT ''
);
CREATE INDEX session_by_user ON session (user_id, created_at) WHERE revoked_at IS NULL;
CREATE INDEX session_revoked ON session (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX session_expires ON session (expires_at);

-- Addresses from which an account has logged in: an attacker elsewhere cannot lock its owner out there.
CREATE TABLE known_address (
    user_id text COLLATE "C" NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    address text COLLATE "C" NOT NULL,
    used_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, address)
);

-- Keys that sign access tokens. A key signs from `active_at` until a younger one does, and verifies until `expires_at`.
CREATE TABLE signing_key (
    kid        text COLLATE "C" PRIMARY KEY,
    private_pem text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    active_at  timestamptz NOT NULL,
    expires_at timestamptz
);

-- Keys of the installation, made at the first use: of action tokens, of refresh tokens, of links.
CREATE TABLE secret (
    name       text COLLATE "C" PRIMARY KEY,
    value      bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Bans and suspensions, append-only. `until` and `at` are milliseconds since 1970 UTC; a ban without `until` lasts.
-- `clear` lifts what stands before it: a moderator's lifts all, a rule's only what rules imposed.
CREATE TABLE sanction (
    id         bigserial PRIMARY KEY,
    user_id    text COLLATE "C" NOT NULL,
    standing   text NOT NULL CHECK (standing IN ('banned', 'suspended', 'clear')),
    until      bigint,
    reason     text NOT NULL,
    by         text NOT NULL,
    at         bigint NOT NULL,
    source     text NOT NULL DEFAULT 'rule' CHECK (source IN ('rule', 'moderation')),
    written_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX sanction_user ON sanction (user_id, id);
CREATE INDEX sanction_written ON sanction (written_at);

-- What of it stands now: banned before suspended, the longest first.
CREATE VIEW standing AS
SELECT DISTINCT ON (s.user_id) s.user_id, s.standing, s.until, s.reason
FROM sanction s
WHERE s.standing <> 'clear'
  AND (s.until IS NULL OR s.until > extract(epoch FROM clock_timestamp()) * 1000)
  AND NOT EXISTS (
      SELECT FROM sanction c
      WHERE c.user_id = s.user_id AND c.standing = 'clear' AND c.id > s.id
        AND (c.source = 'moderation' OR c.source = s.source))
ORDER BY s.user_id, s.standing = 'banned' DESC, s.until DESC NULLS FIRST;

-- Every privileged call, append-only.
CREATE TABLE audit (
    id         bigserial PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    actor      text COLLATE "C" NOT NULL,
    role       text NOT NULL,
    action     text NOT NULL,
    subject    text COLLATE "C" NOT NULL,
    details    jsonb NOT NULL DEFAULT '{}',
    request_id text NOT NULL DEFAULT ''
);
CREATE INDEX audit_subject ON audit (subject, id);
CREATE INDEX audit_actor ON audit (actor, id);
CREATE INDEX audit_at ON audit (at);

CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON sanction
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();
