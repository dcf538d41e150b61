-- Notifications that leave Greenroom by mail or push, written in the same commit as the player's event, and deleted when
-- they have left. Whoever sends one moves `due` first: when it dies, another sends it then, perhaps a second time.
CREATE TABLE notice (
    id       text     COLLATE "C" PRIMARY KEY,
    user_id  text     COLLATE "C" NOT NULL,
    way      text     NOT NULL CHECK (way IN ('mail', 'push')),
    title    text     NOT NULL,
    body     text     NOT NULL,
    at       bigint   NOT NULL, -- milliseconds since 1970 UTC
    attempts smallint NOT NULL DEFAULT 0,
    due      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX notice_due ON notice (due);
