//! Threads for connections, each with a runtime of its own.
//!
//! On a runtime whose threads share their work, a request's connection, its guest and its answer are woken now on
//! one thread and now on another, and each change costs a wake-up of a thread that sleeps. Here a connection stays
//! where it was put. That gave 11 % to 20 % more requests of a small guest (two cores, 2026-11-21), and what a
//! program does beside the node (an API, say) has no part in it. Guests that compute leave for
//! [lanes](crate::lane) of their own, so that no connection waits long for another.

use std::{
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::{
    net::TcpStream,
    runtime::{Builder, Handle},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

/// The threads. When this is dropped, they end, with all connections.
pub(crate) struct Threads {
    threads: Vec<Thread>,
    _end: DropGuard,
}

struct Thread {
    handle: Handle,
    /// Connections that it has.
    open: Arc<AtomicUsize>,
}

impl Threads {
    /// Starts `count` threads. Without any, connections are served where they are accepted.
    pub(crate) fn new(count: usize) -> io::Result<Self> {
        let end = CancellationToken::new();
        let threads = (0..count).map(|_| Thread::start(end.clone())).collect::<io::Result<_>>()?;
        Ok(Self { threads, _end: end.drop_guard() })
    }

    /// Serves a connection that was just accepted, on the thread that has the fewest.
    pub(crate) fn serve<F>(
        &self,
        connections: &TaskTracker,
        stream: TcpStream,
        serve: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) -> io::Result<()>
    where
        F: Future<Output = ()> + Send,
    {
        let least = self.threads.iter().min_by_key(|thread| thread.open.load(Ordering::Relaxed));
        let Some(thread) = least else {
            connections.spawn(async move { serve(stream).await });
            return Ok(());
        };
        // Sockets belong to the runtime that they were made in.
        let stream = stream.into_std()?;
        thread.open.fetch_add(1, Ordering::Relaxed);
        let one = Open(Arc::clone(&thread.open));
        let served = async move {
            let _one = one;
            match TcpStream::from_std(stream) {
                Ok(stream) => serve(stream).await,
                Err(error) => tracing::warn!("cannot serve a connection: {error}"),
            }
        };
        connections.spawn_on(served, &thread.handle);
        Ok(())
    }
}

impl Thread {
    fn start(end: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        thread::Builder::new().name("wpaas-http".into()).spawn(move || {
            runtime.block_on(end.cancelled());
            // A name that is being looked up would be waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, open: Arc::default() })
    }
}

/// One connection of a thread.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::{net::TcpListener, sync::mpsc};

    use super::*;

    async fn connect(threads: &Threads, connections: &TaskTracker, seen: &mpsc::Sender<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut client, seen) = (client.unwrap(), seen.clone());
        let serve = move |mut stream: TcpStream| async move {
            let name = format!("{:?}", thread::current().id());
            let byte = tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap();
            assert_eq!(byte, 1, "the socket works on its new thread");
            seen.send(name).await.unwrap();
            std::future::pending().await
        };
        threads.serve(connections, accepted.unwrap().0, serve).unwrap();
        tokio::io::AsyncWriteExt::write_u8(&mut client, 1).await.unwrap();
    }

    #[tokio::test]
    async fn connections_are_spread_evenly_and_end_with_the_threads() {
        let (threads, connections) = (Threads::new(3).unwrap(), TaskTracker::new());
        let (sender, mut seen) = mpsc::channel(1);
        let mut on = BTreeMap::<String, usize>::new();
        for _ in 0..6 {
            connect(&threads, &connections, &sender).await;
            *on.entry(seen.recv().await.unwrap()).or_default() += 1;
        }
        assert_eq!(on.values().copied().collect::<Vec<_>>(), [2, 2, 2]);
        drop(threads);
        connections.close();
        connections.wait().await;
    }

    #[tokio::test]
    async fn without_threads_connections_stay_where_they_are() {
        let (threads, connections) = (Threads::new(0).unwrap(), TaskTracker::new());
        let (sender, mut seen) = mpsc::channel(1);
        connect(&threads, &connections, &sender).await;
        assert_eq!(seen.recv().await.unwrap(), format!("{:?}", thread::current().id()));
    }
}
