//! The database: sqlx's `Any` pool, today on SQLite, with portable SQL and `$1` placeholders so that
//! PostgreSQL can come without a second set of statements.
//!
//! SQLite runs in WAL mode with `synchronous=FULL`: what a request was told is committed survives a power
//! cut. Writers take turns inside the process, because SQLite has one writer anyway and waiting on an async
//! mutex is cheaper and fairer than its busy loop.

use std::{
    ops::{Deref, DerefMut},
    path::Path,
    sync::Arc,
};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use sqlx::{
    Any, AnyConnection, AnyPool, Connection, Executor, Transaction,
    any::{AnyConnectOptions, AnyPoolOptions},
    pool::PoolConnection,
};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::Error;

/// Readers that run side by side; each is a thread of SQLite's.
const CONNECTIONS: u32 = 8;

/// Applied to every new connection.
const PRAGMAS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                       PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = ON;";

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// The connection pool.
pub(crate) struct Db {
    pool: AnyPool,
    writer: tokio::sync::Mutex<()>,
}

/// A write transaction. Rolled back unless [`Write::commit`] is called.
pub(crate) struct Write<'a> {
    transaction: Transaction<'static, Any>,
    wakes: Option<Arc<Notify>>,
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

impl Db {
    /// Opens the SQLite file, which is created, and brings its schema up to date.
    pub(crate) async fn open(file: &Path) -> Result<Self, Error> {
        sqlx::any::install_default_drivers();
        let options: AnyConnectOptions = sqlite_url(file, "rwc")?.parse()?;
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    connection.execute(PRAGMAS).await?;
                    Ok(())
                })
            })
            .connect_with(options)
            .await?;
        MIGRATIONS.run(&pool).await?;
        Ok(Self { pool, writer: tokio::sync::Mutex::new(()) })
    }

    /// A connection to read with.
    pub(crate) async fn read(&self) -> Result<PoolConnection<Any>, Error> {
        Ok(self.pool.acquire().await?)
    }

    /// A transaction that sees one state of the database however long it reads.
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Any>, Error> {
        Ok(self.pool.begin().await?)
    }

    /// A transaction to write with.
    pub(crate) async fn write(&self) -> Result<Write<'_>, Error> {
        let turn = self.writer.lock().await;
        // IMMEDIATE: a transaction that reads first and writes later could otherwise find its snapshot
        // stale and fail without SQLite waiting.
        let transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Write { transaction, wakes: None, _turn: turn })
    }

    /// Closes all connections, which checkpoints the WAL.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// A connection that reads a database which another process may have open, of this version or another.
pub(crate) async fn read_only(file: &Path) -> Result<AnyConnection, Error> {
    sqlx::any::install_default_drivers();
    Ok(AnyConnection::connect(&sqlite_url(file, "ro")?).await?)
}

impl Write<'_> {
    /// Wakes somebody when the changes are durable.
    pub(crate) fn then_wake(&mut self, who: &Arc<Notify>) {
        self.wakes = Some(Arc::clone(who));
    }

    /// Makes the changes durable.
    pub(crate) async fn commit(self) -> Result<(), Error> {
        self.transaction.commit().await?;
        if let Some(who) = self.wakes {
            who.notify_one();
        }
        Ok(())
    }
}

impl Deref for Write<'_> {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.transaction
    }
}

impl DerefMut for Write<'_> {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }
}

/// `sqlite:///path?mode=rwc`, with everything that means something in a URL escaped.
/// `mode` is SQLite's: `rwc` creates the file, `ro` changes nothing.
fn sqlite_url(file: &Path, mode: &str) -> Result<String, Error> {
    let text = file.to_str().ok_or_else(|| Error::DataDir {
        path: file.into(),
        reason: "its path is not UTF-8".into(),
    })?;
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    Ok(format!("sqlite://{escaped}?mode={mode}"))
}

/// Rows that one statement asks for by a list of keys. Each key is a parameter, and databases limit those
/// (SQLite to 32,766); beyond some hundreds nothing is gained anyway.
pub(crate) const BATCH: usize = if cfg!(test) { 2 } else { 500 };

/// A list of rows of parameters from `$1` on, each row with `columns` of them: `($1, $2), ($3, $4)`.
pub(crate) fn places(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let places: Vec<String> =
            (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", places.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// All rows of a statement whose parameters are `values`.
pub(crate) async fn fetch_all<T>(
    db: &mut AnyConnection,
    sql: String,
    values: impl IntoIterator<Item = String>,
) -> Result<Vec<T>, Error>
where
    T: for<'r> sqlx::FromRow<'r, sqlx::any::AnyRow> + Send + Unpin,
{
    let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
    for value in values {
        query = query.bind(value);
    }
    Ok(query.fetch_all(db).await?)
}

/// The present, as the tables hold it.
pub(crate) fn now() -> String {
    at(Timestamp::now())
}

/// A moment, as the tables hold it.
pub(crate) fn at(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// A new id. Version 7, so that the order of ids is the order of creation.
pub(crate) fn new_id() -> Uuid {
    Uuid::now_v7()
}

/// An id for something that has no row of its own, or none in it: the same things have the same id for ever.
pub(crate) fn stable_id(kind: &str, of: &str) -> Uuid {
    let hash = Sha256::digest(format!("{kind}\0{of}"));
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// An id that a row holds.
pub(crate) fn id(text: &str) -> Result<Uuid, Error> {
    text.parse().map_err(|_| Error::Corrupt(format!("{text:?} is stored as an id and is none")))
}

/// A count or size for a BIGINT column. Limits keep every one far below the clamp.
pub(crate) fn big(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A count or size from a BIGINT column; nothing that we store is negative.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
