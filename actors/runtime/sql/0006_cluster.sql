-- Growing and shrinking: who is to go, what operators ordered, and how the cluster looks.

-- A host that is leaving keeps serving until the director has moved its slots to others; it is given none.
ALTER TABLE host ADD COLUMN leaving boolean NOT NULL DEFAULT false;

-- Nodes that an operator drained: nothing is placed on them until the row is gone.
CREATE TABLE drained_node (
    node  text COLLATE "C" PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT now(),
    by    text NOT NULL
);

-- What operators asked of the driver, and what became of it.
CREATE TABLE cluster_order (
    id       serial PRIMARY KEY,
    what     text NOT NULL CHECK (what IN ('restart', 'rebalance')),
    asked_at timestamptz NOT NULL DEFAULT now(),
    asked_by text NOT NULL,
    done_at  timestamptz,
    outcome  text
);

-- One row: the driver's latest word on nodes, hosts, gateways and load.
CREATE TABLE cluster_report (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    at       timestamptz NOT NULL DEFAULT now(),
    report   json NOT NULL
);
