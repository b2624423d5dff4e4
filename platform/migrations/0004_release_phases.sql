-- How the release phase of a release stands, for releases that have one. The ledger says the same; this is what look-ups
-- of the current release read.
CREATE TABLE release_phases (
    app_id TEXT NOT NULL REFERENCES apps (id),
    version BIGINT NOT NULL,
    release_id TEXT NOT NULL,
    status TEXT NOT NULL,
    stream_token TEXT NOT NULL UNIQUE,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (app_id, version)
);

CREATE INDEX release_phases_status ON release_phases (status);
