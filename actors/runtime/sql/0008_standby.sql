-- How many hosts of its node actors live in; the others stand by until one of these leaves or dies.
ALTER TABLE host ADD COLUMN active_hosts integer NOT NULL DEFAULT 1000;
