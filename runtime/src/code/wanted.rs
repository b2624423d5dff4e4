//! What somebody waits for, so that work on the same thing that nobody waits for gives way.

use std::collections::HashMap;

use tokio::sync::watch;
use wpaas_slug::Digest;

/// Components that requests and deploys need now.
#[derive(Debug)]
pub(crate) struct Wanted(watch::Sender<HashMap<Digest, usize>>);

/// Withdraws the wish when it is dropped.
#[derive(Debug)]
pub(crate) struct Wish<'a>(&'a Wanted, Digest);

impl Wanted {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(HashMap::new()))
    }

    pub(crate) fn register(&self, component: Digest) -> Wish<'_> {
        self.0.send_modify(|wanted| *wanted.entry(component).or_default() += 1);
        Wish(self, component)
    }

    /// Resolves when somebody wants `component`, at once if somebody does.
    pub(crate) async fn wait(&self, component: Digest) {
        self.until(|wanted| wanted.contains_key(&component)).await;
    }

    /// Resolves when nobody wants `component`.
    pub(crate) async fn wait_until_not(&self, component: Digest) {
        self.until(|wanted| !wanted.contains_key(&component)).await;
    }

    async fn until(&self, condition: impl FnMut(&HashMap<Digest, usize>) -> bool) {
        // The sender is in `self`, so the channel cannot be closed.
        let _ = self.0.subscribe().wait_for(condition).await;
    }
}

impl Drop for Wish<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|wanted| {
            if let Some(count) = wanted.get_mut(&self.1) {
                *count -= 1;
                if *count == 0 {
                    wanted.remove(&self.1);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn wishes_are_seen_until_all_are_withdrawn() {
        let (wanted, component) = (Wanted::new(), Digest::of(b"x"));
        assert!(wanted.wait(component).now_or_never().is_none());
        let (first, second) = (wanted.register(component), wanted.register(component));
        assert!(wanted.wait(component).now_or_never().is_some());
        assert!(wanted.wait(Digest::of(b"y")).now_or_never().is_none());
        drop(first);
        assert!(wanted.wait_until_not(component).now_or_never().is_none());
        drop(second);
        assert!(wanted.wait_until_not(component).now_or_never().is_some());
        assert!(wanted.0.borrow().is_empty());
    }
}
