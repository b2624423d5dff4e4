//! The rendezvous: where the client that started a one-off dyno meets it. The client connects with TLS, says the
//! secret of its `attach_url`, is greeted, and from then on bytes go both ways until the dyno ends.
//!
//! The protocol is Heroku's (`rendezvous://HOST:PORT/SECRET`). It has no way to end one direction: clients send a byte
//! 0x04 when their input ends. wpaas' own command ends its direction of the TLS connection instead, and says so when it
//! asks for the dyno, so that its input may hold any byte.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream},
    sync::watch,
};
use uuid::Uuid;
use wpaas_slug::{
    Limits,
    log::{LogLine, LogSink, Source},
    one_off::Run,
};

use crate::{Ctx, Error, Inner, Platform, auth, words};

/// What the client waits for before it sends or shows anything.
const GREETING: &[u8] = b"rendezvous\r\n";
/// The end of a client's input, where it is no terminal: ^D.
const END_OF_INPUT: u8 = 0x04;
/// A 0x04 that nothing follows for this long is the end; in the middle of a file it is followed at once.
const END_SETTLES: Duration = Duration::from_millis(50);
/// How long a client has to send its 0x04 after its dyno has ended. The heroku command sends it also when its input was empty
/// from the start, and takes a connection that has ended by then for a failure.
const LAST_INPUT: Duration = Duration::from_millis(250);
/// The longest first line: the secret is 64 digits.
const HELLO_BYTES: usize = 128;

/// How the input of a client ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputEnd {
    /// By 0x04.
    Byte,
    /// With its direction of the connection.
    Direction,
    /// Never: it is a terminal's, which is attended to elsewhere.
    Terminal,
}

/// A one-off dyno that waits for its client.
pub(crate) struct Session {
    pub(crate) app: Uuid,
    pub(crate) run: Run,
    /// Leads to its standard streams.
    pub(crate) stream: DuplexStream,
    pub(crate) input_end: InputEnd,
    /// Whether the client wants to be told the exit status.
    pub(crate) wants_status: bool,
}

/// Those that wait, by the digest of their secret: looking one up takes as long for a wrong secret as for one that is nearly
/// right.
pub(crate) struct Waiting {
    sessions: Mutex<HashMap<String, Session>>,
    most: usize,
}

impl Waiting {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { sessions: Mutex::default(), most: Limits::size(limits.attach_waiting) }
    }

    /// Whether another one may wait.
    pub(crate) fn check_room(&self) -> Result<(), Error> {
        if self.sessions.lock().len() < self.most {
            return Ok(());
        }
        Err(Error::Busy(
            "Too many dynos wait for somebody to attach; try again in a minute.".into(),
        ))
    }

    fn take(&self, digest: &str) -> Option<Session> {
        self.sessions.lock().remove(digest)
    }
}

impl Inner {
    /// Lets a dyno wait for its client, for `attach_ms` (then R13). Returns its secret.
    pub(crate) fn await_client(self: &Ctx, session: Session) -> Result<String, Error> {
        self.waiting.check_room()?;
        let secret = auth::secret()?;
        let digest = auth::digest(&secret);
        self.waiting.sessions.lock().insert(digest.clone(), session);
        let inner = Arc::downgrade(self);
        let (stop, patience) = (self.stop.clone(), Limits::ms(self.limits.attach_ms));
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(patience) => {}
                () = stop.cancelled() => {}
            }
            let Some(inner) = inner.upgrade() else { return };
            if let Some(session) = inner.waiting.take(&digest) {
                let text = "Error R13 (Attach error) -> Failed to attach to process";
                let dyno = session.run.dyno().to_owned();
                inner.logplex.write(LogLine::now(session.app, Source::Heroku, dyno, text));
                session.run.kill();
            }
        });
        Ok(secret)
    }
}

impl Platform {
    /// Serves one connection of the rendezvous, from the client's secret to the end of its dyno.
    ///
    /// # Errors
    ///
    /// Those of the connection, which is then of no use; and [`io::ErrorKind::PermissionDenied`] for a secret that is none,
    /// or was used.
    pub async fn attach(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin,
    ) -> io::Result<()> {
        let (mut from, mut to) = tokio::io::split(stream);
        let hello = Limits::ms(self.inner.limits.attach_hello_ms);
        let secret = tokio::time::timeout(hello, first_line(&mut from));
        let secret = secret.await.map_err(|_| io::ErrorKind::TimedOut)??;
        // Once only: it is gone from the table.
        let session = self.inner.waiting.take(&auth::digest(&secret));
        let session = session.ok_or(io::ErrorKind::PermissionDenied)?;
        let capacity = Limits::size(self.inner.limits.attach_buffer_bytes);
        tokio::select! {
            joined = session.join(&mut from, &mut to, capacity) => joined,
            () = self.inner.stop.cancelled() => Ok(()),
        }
    }
}

/// The client's first line, without its end. Read by the byte, since what follows belongs to the dyno.
async fn first_line(from: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut line = Vec::new();
    while line.len() < HELLO_BYTES {
        match from.read_u8().await? {
            b'\n' => {
                let line = String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData)?;
                return Ok(line.trim().to_owned());
            }
            byte => line.push(byte),
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

impl Session {
    /// Joins the client and the dyno until the dyno has ended or the client is gone.
    async fn join(
        self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        capacity: usize,
    ) -> io::Result<()> {
        let Self { mut run, stream, input_end, wants_status, .. } = self;
        // Alone and at once: clients discard the first piece that comes, whatever it holds.
        to.write_all(GREETING).await?;
        to.flush().await?;
        let (mut output, mut input) = tokio::io::split(stream);
        let (told, mut input_ended) = watch::channel(input_end != InputEnd::Byte);
        let up = async {
            let ended = pass_input(from, &mut input, input_end, capacity).await;
            if ended.is_ok() {
                told.send_replace(true);
                let _ = input.shutdown().await;
                if input_end == InputEnd::Direction {
                    // Nothing more can come from there.
                    std::future::pending::<()>().await;
                }
                // What still comes is nobody's; the end of the connection is what is waited for.
                let mut rest = vec![0; 1024];
                while from.read(&mut rest).await.is_ok_and(|read| read > 0) {}
            }
        };
        let down = async {
            tokio::io::copy(&mut output, to).await?;
            if wants_status {
                let status = run.wait().await;
                to.write_all(words::status_line(status).as_bytes()).await?;
            }
            to.flush().await?;
            let _ = tokio::time::timeout(LAST_INPUT, input_ended.wait_for(|ended| *ended)).await;
            to.shutdown().await
        };
        let passed = tokio::select! {
            biased;
            passed = down => passed,
            () = up => Err(io::ErrorKind::ConnectionAborted.into()),
        };
        if passed.is_err() {
            // Nobody is there for it any more.
            run.stop();
        }
        passed
    }
}

/// Passes the client's bytes on, to the end of its input. `Err` when the client is gone, or the dyno reads no more.
async fn pass_input(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    end: InputEnd,
    capacity: usize,
) -> io::Result<()> {
    let mut buffer = vec![0; capacity.max(1)];
    // A 0x04 at the end of what came, of which only what follows tells whether it is the end.
    let mut held = false;
    loop {
        let read = from.read(&mut buffer);
        let read = match held {
            false => read.await?,
            true => match tokio::time::timeout(END_SETTLES, read).await {
                Ok(read) => read?,
                Err(_) => return Ok(()),
            },
        };
        if read == 0 {
            return match end {
                InputEnd::Direction => Ok(()),
                InputEnd::Byte | InputEnd::Terminal => Err(io::ErrorKind::ConnectionAborted.into()),
            };
        }
        let mut bytes = buffer.get(..read).unwrap_or_default();
        if std::mem::take(&mut held) {
            write(to, &[END_OF_INPUT]).await?;
        }
        if end == InputEnd::Byte
            && let Some((&END_OF_INPUT, before)) = bytes.split_last()
        {
            (held, bytes) = (true, before);
        }
        write(to, bytes).await?;
    }
}

/// A dyno that reads no more is no reason to stop listening to its client.
async fn write(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    match to.write_all(bytes).await {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    async fn passed(pieces: &[&[u8]], end: InputEnd) -> (bool, Vec<u8>) {
        let (mut client, mut from) = duplex(1024);
        let (mut to, mut dyno) = duplex(1024);
        let passing = tokio::spawn(async move {
            let passed = pass_input(&mut from, &mut to, end, 16).await;
            (passed.is_ok(), from)
        });
        for piece in pieces {
            client.write_all(piece).await.unwrap();
        }
        if end != InputEnd::Byte {
            client.shutdown().await.unwrap();
        }
        let mut got = Vec::new();
        dyno.read_to_end(&mut got).await.unwrap();
        (passing.await.unwrap().0, got)
    }

    #[tokio::test(start_paused = true)]
    async fn input_ends_by_the_byte_that_nothing_follows() {
        let byte = InputEnd::Byte;
        assert_eq!(passed(&[b"one", b"\x04"], byte).await, (true, b"one".to_vec()));
        assert_eq!(passed(&[b"\x04"], byte).await, (true, vec![]));
        let binary: &[&[u8]] = &[b"a\x04", b"b\x04c", b"\x04\x04"];
        assert_eq!(passed(binary, byte).await, (true, b"a\x04b\x04c\x04".to_vec()));
    }

    #[tokio::test]
    async fn input_ends_with_its_direction_where_that_was_said() {
        assert_eq!(passed(&[b"a\x04"], InputEnd::Direction).await, (true, b"a\x04".to_vec()));
        assert_eq!(passed(&[b"a\x04"], InputEnd::Terminal).await, (false, b"a\x04".to_vec()));
    }

    #[tokio::test]
    async fn the_first_line_is_bounded_and_takes_nothing_else() {
        let mut line: &[u8] = b"secret\r\nrest";
        assert_eq!(first_line(&mut line).await.unwrap(), "secret");
        assert_eq!(line, b"rest");
        let mut long: &[u8] = &[b'x'; 4096];
        assert!(first_line(&mut long).await.is_err());
        assert!(first_line(&mut b"cut".as_slice()).await.is_err());
    }
}
