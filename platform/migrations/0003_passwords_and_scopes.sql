-- A password is kept as its Argon2 hash; accounts without one log in by token only.
ALTER TABLE users ADD COLUMN password TEXT;

-- Tokens from before have no id of their own; theirs follows from the digest (src/authorizations.rs).
ALTER TABLE tokens ADD COLUMN id TEXT;
ALTER TABLE tokens ADD COLUMN scope TEXT NOT NULL DEFAULT 'global';

CREATE INDEX tokens_user ON tokens (user_id);
