//! What a data directory says without opening it as a platform, for a program that only prepares.

use std::path::Path;

use wpaas_slug::feed::Snapshot;

use crate::{Error, data, db, feed};

/// What the platform of a data directory would tell a starting node; nothing if there is no platform yet.
/// Another process may have the directory open. Nothing is changed, the schema least of all.
///
/// # Errors
///
/// Those of the database, for example when its schema is that of another version.
pub async fn stored_snapshot(data_dir: &Path) -> Result<Snapshot, Error> {
    let file = data::database(data_dir);
    if !file.exists() {
        return Ok(Snapshot::default());
    }
    feed::snapshot(&mut db::read_only(&file).await?).await
}
