-- The buildpacks that a build was told to use, in order, as a JSON array; NULL where it was told none.
ALTER TABLE builds RENAME COLUMN buildpack_url TO buildpacks;
UPDATE builds SET buildpacks = '["' || replace(replace(buildpacks, '\', '\\'), '"', '\"') || '"]'
    WHERE buildpacks IS NOT NULL;
