-- What an app's next build uses, in order; none where the builder finds out by itself.
CREATE TABLE app_buildpacks (
    app_id TEXT NOT NULL REFERENCES apps (id),
    ordinal BIGINT NOT NULL,
    buildpack TEXT NOT NULL,
    PRIMARY KEY (app_id, ordinal)
);
