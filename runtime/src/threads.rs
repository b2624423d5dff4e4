//! Threads for connections, each with a runtime of its own.
//!
//! On a runtime whose threads share their work, a request's connection, its guest and its answer are woken now on
//! one thread and now on another, and each change costs a wake-up of a thread that sleeps. Here a connection stays
//! where it was put. That gave 11 % to 20 % more requests of a small guest (two cores, 2026-11-21), and what a
//! program does beside the node (an API, say) has no part in it. Guests that have many requests live on these
//! threads too: half of their requests come from the thread that they are on, which gave 20 % more of them. Guests
//! that compute leave for [lanes](crate::lane) of their own, so that no connection waits long for another.

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

/// The threads. When the last clone is dropped, they end, with all connections.
#[derive(Clone)]
pub(crate) struct Threads {
    threads: Arc<[Thread]>,
    _end: Arc<DropGuard>,
}

struct Thread {
    handle: Handle,
    /// Connections and guests that it has.
    tasks: Arc<AtomicUsize>,
}

impl Threads {
    /// Starts `count` threads. Without any, connections are served where they are accepted.
    pub(crate) fn new(count: usize) -> io::Result<Self> {
        let end = CancellationToken::new();
        let threads = (0..count).map(|_| Thread::start(end.clone())).collect::<io::Result<_>>()?;
        Ok(Self { threads, _end: Arc::new(end.drop_guard()) })
    }

    /// A place on the thread that has the fewest connections and guests, if there are threads.
    pub(crate) fn place(&self) -> Option<Place> {
        let thread =
            self.threads.iter().min_by_key(|thread| thread.tasks.load(Ordering::Relaxed))?;
        thread.tasks.fetch_add(1, Ordering::Relaxed);
        Some(Place { handle: thread.handle.clone(), tasks: Arc::clone(&thread.tasks) })
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
        let Some(place) = self.place() else {
            connections.spawn(async move { serve(stream).await });
            return Ok(());
        };
        // Sockets belong to the runtime that they were made in.
        let stream = stream.into_std()?;
        let thread = place.handle.clone();
        let served = async move {
            let _place = place;
            match TcpStream::from_std(stream) {
                Ok(stream) => serve(stream).await,
                Err(error) => tracing::warn!("cannot serve a connection: {error}"),
            }
        };
        connections.spawn_on(served, &thread);
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
        Ok(Self { handle, tasks: Arc::default() })
    }
}

/// What a connection or a guest has of a thread.
pub(crate) struct Place {
    handle: Handle,
    tasks: Arc<AtomicUsize>,
}

impl Place {
    /// For spawning on the thread.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.tasks.fetch_sub(1, Ordering::Relaxed);
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
        // Where a guest is, there are fewer connections.
        let guest = threads.place().unwrap();
        let (sender, mut seen) = mpsc::channel(1);
        let mut on = BTreeMap::<String, usize>::new();
        for _ in 0..5 {
            connect(&threads, &connections, &sender).await;
            *on.entry(seen.recv().await.unwrap()).or_default() += 1;
        }
        let mut counts: Vec<_> = on.values().copied().collect();
        counts.sort_unstable();
        assert_eq!(counts, [1, 2, 2]);
        drop(guest);
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
