//! A build's output: a file that is written line by line, and streams that follow it. Streams read the file,
//! so neither a slow reader nor many of them cost memory, and the output outlives the process.

use std::{
    collections::HashMap,
    fs::File,
    io::{SeekFrom, Write},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{Stream, TryStreamExt, stream};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncSeekExt, AsyncWrite},
    sync::watch,
};
use uuid::Uuid;
use wpaas_slug::Limits;

use crate::{Error, error::io};

/// One read of a stream.
const CHUNK_BYTES: usize = 64 * 1024;

/// How far the output is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    bytes: u64,
    done: bool,
}

/// The writing end. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Output {
    shared: Arc<Shared>,
}

struct Shared {
    file: Mutex<File>,
    progress: watch::Sender<Progress>,
    limit: u64,
}

impl Output {
    /// Starts a new file.
    pub(crate) fn create(path: &Path, limit: u64) -> Result<Self, Error> {
        let file = File::create(path).map_err(io("build output"))?;
        let progress = watch::Sender::new(Progress::default());
        Ok(Self { shared: Arc::new(Shared { file: Mutex::new(file), progress, limit }) })
    }

    /// Writes a line. Past the limit it is dropped, after one line that says so.
    pub(crate) fn line(&self, text: &str) {
        self.write(text, false);
    }

    /// Writes a line that must be there, whatever came before: why the build ended.
    pub(crate) fn last_words(&self, text: &str) {
        self.write(text, true);
    }

    fn write(&self, text: &str, always: bool) {
        let mut file = self.shared.file.lock();
        let written = self.shared.progress.borrow().bytes;
        let line = if written < self.shared.limit || always {
            format!("{text}\n")
        } else {
            return;
        };
        let mut line = line.into_bytes();
        if !always && written + line.len() as u64 >= self.shared.limit {
            let left = usize::try_from(self.shared.limit - written).unwrap_or(usize::MAX);
            line.truncate(left);
            line.extend_from_slice(b"\n[further output is left out: it is over the limit]\n");
        }
        match file.write_all(&line) {
            Ok(()) => {
                let bytes = written + line.len() as u64;
                self.shared.progress.send_modify(|progress| progress.bytes = bytes);
            }
            Err(error) => tracing::error!(%error, "build output is lost"),
        }
    }

    /// Ends all streams, after the file is safely on disk.
    pub(crate) fn finish(&self) {
        if let Err(error) = self.shared.file.lock().sync_all() {
            tracing::error!(%error, "build output may not survive a power cut");
        }
        self.shared.progress.send_modify(|progress| progress.done = true);
    }

    /// For readers.
    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.shared.progress.subscribe()
    }
}

/// Bytes that become lines of several outputs.
pub(crate) struct LineWriter {
    outputs: Vec<Output>,
    pending: Vec<u8>,
    longest: usize,
}

impl LineWriter {
    pub(crate) fn new(outputs: Vec<Output>, limits: &Limits) -> Self {
        Self { outputs, pending: Vec::new(), longest: Limits::size(limits.log_line_bytes) }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.pending);
        let line = String::from_utf8_lossy(&line);
        self.outputs.iter().for_each(|output| output.line(line.trim_end_matches('\r')));
    }
}

impl AsyncWrite for LineWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = match part.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (part, false),
            };
            self.pending.extend_from_slice(text);
            if ended || self.pending.len() >= self.longest {
                self.end_line();
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        if !self.pending.is_empty() {
            self.end_line();
        }
        Poll::Ready(Ok(()))
    }
}

/// Adds a line to a finished file.
pub(crate) fn append(path: &Path, line: &str) -> Result<(), Error> {
    let mut file =
        File::options().create(true).append(true).open(path).map_err(io("build output"))?;
    file.write_all(format!("{line}\n").as_bytes()).map_err(io("build output"))?;
    file.sync_all().map_err(io("build output"))
}

/// Everything written so far, then what comes, until the build ends. `progress` is none for a build that has
/// ended.
pub(crate) fn stream(
    path: PathBuf,
    progress: Option<watch::Receiver<Progress>>,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    stream::once(async move {
        match tokio::fs::File::open(path).await {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    })
    .try_filter_map(|file| async move { Ok(file) })
    .map_ok(move |file| follow(file, progress.clone()))
    .try_flatten()
}

fn follow(
    file: tokio::fs::File,
    progress: Option<watch::Receiver<Progress>>,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    stream::try_unfold((file, progress, 0), |(mut file, mut progress, mut at)| async move {
        loop {
            // Noted before reading, so that a line written in between wakes us.
            let done = match &mut progress {
                Some(progress) => progress.borrow_and_update().done,
                None => true,
            };
            file.seek(SeekFrom::Start(at)).await?;
            let mut chunk = vec![0; CHUNK_BYTES];
            let read = file.read(&mut chunk).await?;
            if read > 0 {
                chunk.truncate(read);
                at += read as u64;
                return Ok(Some((Bytes::from(chunk), (file, progress, at))));
            }
            let Some(waiting) = progress.as_mut().filter(|_| !done) else { return Ok(None) };
            // The writer is gone without a word when the process stops: that ends the stream too.
            if waiting.changed().await.is_err() {
                progress = None;
            }
        }
    })
}

/// The outputs of the builds that run or wait.
#[derive(Default)]
pub(crate) struct Live {
    outputs: Mutex<HashMap<Uuid, watch::Receiver<Progress>>>,
}

impl Live {
    pub(crate) fn add(&self, build: Uuid, output: &Output) {
        self.outputs.lock().insert(build, output.progress());
    }

    pub(crate) fn remove(&self, build: Uuid) {
        self.outputs.lock().remove(&build);
    }

    pub(crate) fn get(&self, build: Uuid) -> Option<watch::Receiver<Progress>> {
        self.outputs.lock().get(&build).cloned()
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn a_stream_has_what_was_written_and_what_comes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let output = Output::create(&path, 1_000).unwrap();
        output.line("one");
        let mut reader = Box::pin(stream(path.clone(), Some(output.progress())));
        assert_eq!(reader.next().await.unwrap().unwrap(), "one\n");
        output.line("two");
        assert_eq!(reader.next().await.unwrap().unwrap(), "two\n");
        output.finish();
        assert!(reader.next().await.is_none());
        let late: Vec<_> = stream(path, None).collect().await;
        assert_eq!(late.into_iter().next().unwrap().unwrap(), "one\ntwo\n");
    }

    #[tokio::test]
    async fn bytes_become_lines() {
        use tokio::io::AsyncWriteExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let output = Output::create(&path, 1_000).unwrap();
        let limits = Limits { log_line_bytes: 8, ..Limits::default() };
        let mut writer = LineWriter::new(vec![output], &limits);
        for bytes in ["o", "ne\r\ntwo\n\n", "123456789", "\nend"] {
            writer.write_all(bytes.as_bytes()).await.unwrap();
        }
        writer.shutdown().await.unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text, "one\ntwo\n\n123456789\n\nend\n");
    }

    #[tokio::test]
    async fn output_is_bounded_and_its_end_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let output = Output::create(&path, 20).unwrap();
        for _ in 0..10 {
            output.line("12345678");
        }
        output.last_words("it failed");
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.starts_with("12345678\n12345678\n12\n[further"), "{text}");
        assert!(text.ends_with("it failed\n"), "{text}");
        assert!(text.len() < 100, "{text}");
    }
}
