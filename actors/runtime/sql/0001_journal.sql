-- The truth: one row for each turn of each actor, and what the runtime needs around it.

-- `version` is the number of the turn's first event, `length` how many events it had: the next turn of the actor
-- starts at version + length. JSON, not JSONB: a person reads it as well, and Postgres takes it in for a third less.
-- `turn` holds command, caller, data, reply, content version and dice; `events` [[name, fields], ...].
CREATE TABLE journal (
    kind    text     COLLATE "C" NOT NULL,
    key     text     COLLATE "C" NOT NULL,
    version bigint   NOT NULL CHECK (version >= 1),
    length  smallint NOT NULL CHECK (length >= 1),
    op      text     COLLATE "C" NOT NULL,
    at      bigint   NOT NULL,
    run     integer  NOT NULL,
    turn    json     NOT NULL,
    events  json     NOT NULL,
    CONSTRAINT journal_history PRIMARY KEY (kind, key, version),
    CONSTRAINT journal_op UNIQUE (kind, key, op)
) PARTITION BY HASH (kind, key);

CREATE TABLE journal_0 PARTITION OF journal FOR VALUES WITH (MODULUS 8, REMAINDER 0);
CREATE TABLE journal_1 PARTITION OF journal FOR VALUES WITH (MODULUS 8, REMAINDER 1);
CREATE TABLE journal_2 PARTITION OF journal FOR VALUES WITH (MODULUS 8, REMAINDER 2);
CREATE TABLE journal_3 PARTITION OF journal FOR VALUES WITH (MODULUS 8, REMAINDER 3);
CREATE TABLE journal_4 PARTITION OF journal FOR VALUES WITH (MODULUS 8, REMAINDER 4);
CREATE TABLE journal_5 PARTITION OF journal FOR VALUES WITH (MODULUS 8, REMAINDER 5);
CREATE TABLE journal_6 PARTITION OF journal FOR VALUES WITH (MODULUS 8, REMAINDER 6);
CREATE TABLE journal_7 PARTITION OF journal FOR VALUES WITH (MODULUS 8, REMAINDER 7);

-- An actor's state at some version: waking it replays only the turns after that. `state` is msgpack, `checksum` its hash.
CREATE TABLE checkpoint (
    kind          text   COLLATE "C" NOT NULL,
    key           text   COLLATE "C" NOT NULL,
    version       bigint NOT NULL,
    state_version integer NOT NULL,
    checksum      bytea  NOT NULL,
    state         bytea  NOT NULL,
    PRIMARY KEY (kind, key)
);
ALTER TABLE checkpoint ALTER COLUMN state SET STORAGE EXTERNAL;

-- Tells under way. A row is a parcel: all tells of one group commit to one actor, played there as one turn.
CREATE TABLE outbox (
    id       text     COLLATE "C" PRIMARY KEY,
    slot     smallint NOT NULL,
    kind     text     COLLATE "C" NOT NULL,
    key      text     COLLATE "C" NOT NULL,
    attempts smallint NOT NULL DEFAULT 0,
    due      timestamptz NOT NULL DEFAULT now() + interval '3 seconds',
    tells    json     NOT NULL
);
CREATE INDEX outbox_due ON outbox (slot, due);

CREATE TABLE dead_letter (
    id       text COLLATE "C" PRIMARY KEY,
    kind     text COLLATE "C" NOT NULL,
    key      text COLLATE "C" NOT NULL,
    tell     jsonb NOT NULL,
    reason   text NOT NULL,
    attempts smallint NOT NULL,
    died_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE reminder (
    kind    text COLLATE "C" NOT NULL,
    key     text COLLATE "C" NOT NULL,
    name    text COLLATE "C" NOT NULL,
    slot    smallint NOT NULL,
    id      text COLLATE "C" NOT NULL,
    due     bigint NOT NULL,
    command text NOT NULL,
    data    jsonb NOT NULL,
    PRIMARY KEY (kind, key, name)
);
CREATE INDEX reminder_due ON reminder (slot, due);

-- The runs of host processes, and which run owns which slot. A run that is retired never gets its lease again.
CREATE TABLE host (
    run      serial PRIMARY KEY,
    name     text NOT NULL,
    endpoint text NOT NULL,
    node     text NOT NULL,
    pid      integer NOT NULL,
    pool     text NOT NULL,
    started  timestamptz NOT NULL DEFAULT now(),
    lease    timestamptz NOT NULL,
    retired  boolean NOT NULL DEFAULT false
);
CREATE TABLE slot (
    slot  text COLLATE "C" PRIMARY KEY,
    run   integer REFERENCES host (run),
    epoch bigint NOT NULL DEFAULT 0,
    wanted text NOT NULL DEFAULT ''
);
CREATE INDEX slot_run ON slot (run);

-- Crashes of a host while it played a command of this actor; three in a minute put it into quarantine.
CREATE TABLE quarantine (
    kind    text COLLATE "C" NOT NULL,
    key     text COLLATE "C" NOT NULL,
    crashes timestamptz[] NOT NULL DEFAULT '{}',
    reason  text NOT NULL DEFAULT '',
    since   timestamptz,
    PRIMARY KEY (kind, key)
);

CREATE TABLE content (
    version      serial PRIMARY KEY,
    published_at timestamptz NOT NULL DEFAULT now(),
    published_by text NOT NULL,
    checksum     text NOT NULL,
    body         jsonb NOT NULL,
    active       boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX content_active ON content (active) WHERE active;
