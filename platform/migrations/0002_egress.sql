-- Egress rules of releases, stored as config_sets are: once under their digest.
CREATE TABLE egress_sets (
    app_id TEXT NOT NULL REFERENCES apps (id),
    digest TEXT NOT NULL,
    rules TEXT NOT NULL,
    PRIMARY KEY (app_id, digest)
);
