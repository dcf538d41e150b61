-- Every detection with its evidence (FR-02); written in the same commit as the detector's events.
CREATE TABLE incident (
    id text PRIMARY KEY,
    player text NOT NULL,
    rule text NOT NULL,
    points bigint NOT NULL CHECK (points >= 0),
    suspicion bigint NOT NULL CHECK (suspicion >= 0), -- thousandths of a point, after this hit
    evidence jsonb NOT NULL,
    at bigint NOT NULL -- milliseconds since 1970 UTC
);
CREATE INDEX incident_of_player ON incident (player, at);
CREATE INDEX incident_at ON incident (at);
