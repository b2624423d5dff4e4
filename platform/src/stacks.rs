//! Stacks that this platform has: name and component. The builder makes them; the node is told before any app
//! that needs one.

use sqlx::AnyConnection;
use wpaas_slug::{Digest, feed::Change};

use crate::{Error, Inner, db, feed};

/// The stack of slugs that bring their own component.
pub(crate) const OWN: &str = "wasm";

/// A row of `stacks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StackRow {
    pub(crate) name: String,
    pub(crate) component: Digest,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

/// All installed stacks.
pub(crate) async fn list(db: &mut AnyConnection) -> Result<Vec<StackRow>, Error> {
    let rows: Vec<(String, String, String, String)> =
        sqlx::query_as("SELECT name, component, created_at, updated_at FROM stacks ORDER BY name")
            .fetch_all(db)
            .await?;
    rows.into_iter()
        .map(|(name, component, created_at, updated_at)| {
            let component = component
                .parse()
                .map_err(|_| Error::Corrupt(format!("stack {name}: no digest")))?;
            Ok(StackRow { name, component, created_at, updated_at })
        })
        .collect()
}

impl Inner {
    /// Makes sure that a stack is installed and that the node has it.
    pub(crate) async fn ensure_stack(&self, name: &str) -> Result<(), Error> {
        let progress = {
            let name = name.to_owned();
            move |line: &str| tracing::info!(stack = name, "{line}")
        };
        let component = self.builder.ensure_stack(name, Box::new(progress)).await?;
        self.publish_stack(name, component).await
    }

    /// Records a stack's component after the node took it. In that order, so that a node which fails is asked
    /// again the next time.
    pub(crate) async fn publish_stack(&self, name: &str, component: Digest) -> Result<(), Error> {
        let _turn = self.stack_turn.lock().await;
        let mut db = self.db.read().await?;
        if list(&mut db).await?.iter().any(|row| row.name == name && row.component == component) {
            return Ok(());
        }
        drop(db);
        let change = Change::Stack { name: name.to_owned(), component };
        self.node.apply(change).await.map_err(Error::Refused)?;
        let mut write = self.db.write().await?;
        sqlx::query(
            "INSERT INTO stacks (name, component, created_at, updated_at) VALUES ($1, $2, $3, $3) \
             ON CONFLICT (name) DO UPDATE SET component = excluded.component, \
             updated_at = excluded.updated_at",
        )
        .bind(name.to_owned())
        .bind(component.to_string())
        .bind(db::now())
        .execute(&mut *write)
        .await?;
        feed::bump(&mut write).await?;
        write.commit().await
    }
}
