-- Whom an app's owner wants told of what happens to it. The secret is kept as it is, since it signs what is sent.
CREATE TABLE webhooks (
    id TEXT PRIMARY KEY,
    app_id TEXT NOT NULL REFERENCES apps (id),
    include TEXT NOT NULL,
    level TEXT NOT NULL,
    url TEXT NOT NULL,
    secret TEXT NOT NULL,
    authorization_header TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

CREATE INDEX webhooks_app ON webhooks (app_id, id);

-- What happened, written in the transaction of the change itself.
CREATE TABLE webhook_events (
    id TEXT PRIMARY KEY,
    app_id TEXT NOT NULL REFERENCES apps (id),
    include TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_at TEXT NOT NULL
);

CREATE INDEX webhook_events_app ON webhook_events (app_id, id);

-- An event for one webhook. While it has to be sent, next_attempt_at says when.
CREATE TABLE webhook_deliveries (
    id TEXT PRIMARY KEY,
    app_id TEXT NOT NULL REFERENCES apps (id),
    webhook_id TEXT NOT NULL REFERENCES webhooks (id),
    event_id TEXT NOT NULL REFERENCES webhook_events (id),
    include TEXT NOT NULL,
    level TEXT NOT NULL,
    status TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    next_attempt_at TEXT,
    attempt_id TEXT,
    attempt_code BIGINT,
    attempt_error TEXT,
    attempt_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

CREATE INDEX webhook_deliveries_app ON webhook_deliveries (app_id, id);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_attempt_at, webhook_id) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX webhook_deliveries_webhook ON webhook_deliveries (webhook_id);
CREATE INDEX webhook_deliveries_event ON webhook_deliveries (event_id);
