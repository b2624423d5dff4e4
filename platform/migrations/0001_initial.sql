-- Portable SQL: TEXT, BIGINT, keys and constraints only, so that PostgreSQL can take it as it is.
-- Times are RFC 3339 in UTC with six decimals, which sort as text. Ids are UUIDs, version 7.

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

CREATE TABLE tokens (
    digest TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    description TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT
);

CREATE TABLE apps (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    owner_id TEXT NOT NULL REFERENCES users (id),
    maintenance BIGINT NOT NULL,
    head_seq BIGINT NOT NULL,
    head_hash TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

CREATE INDEX apps_owner ON apps (owner_id, name);

-- Only ever inserted to. See src/ledger.rs.
CREATE TABLE ledger (
    app_id TEXT NOT NULL REFERENCES apps (id),
    seq BIGINT NOT NULL,
    id TEXT NOT NULL,
    version BIGINT,
    kind TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    actor_email TEXT NOT NULL,
    created_at TEXT NOT NULL,
    payload TEXT NOT NULL,
    prev_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (app_id, seq),
    UNIQUE (app_id, version),
    UNIQUE (app_id, id)
);

CREATE TABLE config_sets (
    app_id TEXT NOT NULL REFERENCES apps (id),
    digest TEXT NOT NULL,
    vars TEXT NOT NULL,
    PRIMARY KEY (app_id, digest)
);

CREATE TABLE slugs (
    id TEXT PRIMARY KEY,
    app_id TEXT NOT NULL REFERENCES apps (id),
    digest TEXT NOT NULL,
    process_types TEXT NOT NULL,
    buildpack TEXT,
    stack TEXT,
    size BIGINT NOT NULL,
    commit_id TEXT,
    commit_description TEXT,
    created_at TEXT NOT NULL
);

CREATE INDEX slugs_app ON slugs (app_id);

-- Process types that were scaled by somebody; the others have their default.
CREATE TABLE formation (
    app_id TEXT NOT NULL REFERENCES apps (id),
    type TEXT NOT NULL,
    min BIGINT NOT NULL,
    max BIGINT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (app_id, type)
);

CREATE TABLE domains (
    id TEXT PRIMARY KEY,
    app_id TEXT NOT NULL REFERENCES apps (id),
    hostname TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL
);

CREATE INDEX domains_app ON domains (app_id);

CREATE TABLE sources (
    id TEXT PRIMARY KEY,
    token_digest TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL REFERENCES users (id),
    size BIGINT,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL
);

CREATE TABLE builds (
    id TEXT PRIMARY KEY,
    app_id TEXT NOT NULL REFERENCES apps (id),
    user_id TEXT NOT NULL,
    user_email TEXT NOT NULL,
    status TEXT NOT NULL,
    stream_token TEXT NOT NULL UNIQUE,
    source_url TEXT NOT NULL,
    source_version TEXT,
    source_version_description TEXT,
    source_checksum TEXT,
    buildpack_url TEXT,
    stack TEXT,
    release_id TEXT,
    slug_id TEXT,
    slug_digest TEXT,
    steps TEXT NOT NULL,
    uploaded_blobs BIGINT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

CREATE INDEX builds_app ON builds (app_id, id);
CREATE INDEX builds_status ON builds (status);

CREATE TABLE stacks (
    name TEXT PRIMARY KEY,
    component TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

CREATE TABLE feed (
    id BIGINT PRIMARY KEY,
    revision BIGINT NOT NULL
);

INSERT INTO feed (id, revision) VALUES (1, 0);
