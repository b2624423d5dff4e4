//! What `benches/` needs of the inside. Not part of the API: the feature `bench` is for this repository alone.

use std::sync::Arc;

use uuid::Uuid;

use crate::{Node, dyno::Instance, formation::Formation};

/// Starts dynos of an app that a node has prepared, as a request without a warm one does.
pub struct Starter(Arc<Formation>);

/// A running dyno.
pub struct Live {
    _instance: Instance,
}

impl Starter {
    /// The web process type of an app that was applied.
    pub fn new(node: &Node, app: Uuid) -> Option<Self> {
        node.web(app).map(Self)
    }

    /// Makes the dyno's world and its instance.
    ///
    /// # Errors
    ///
    /// The text of why it did not start.
    pub async fn start(&self) -> Result<Live, String> {
        let started = self.0.start(1, None).await;
        started.map(|instance| Live { _instance: instance }).map_err(|error| format!("{error:?}"))
    }
}
