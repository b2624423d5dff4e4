//! One push: git receives it, and before a ref moves the pushed commit of the default branch is built and
//! released. The build's output is the hook's, so the client sees it as it comes.

use std::{path::Path, path::PathBuf, process::Stdio};

use axum::body::Bytes;
use futures::{Stream, StreamExt as _};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdout, Command},
    sync::mpsc,
    time::Instant,
};
use wpaas_slug::Limits;

use super::{
    hook::{Answer, Asked, Hook, Update},
    patience, run,
};
use crate::{
    Ctx, Error, Inner,
    apps::App,
    auth::User,
    builds::{self, Wanted},
    db,
    error::io,
    locks::AppLock,
};

/// What makes a release. Whoever pushes another branch stores it.
const DEPLOYED: [&str; 2] = ["refs/heads/main", "refs/heads/master"];
/// Chunks of git's output between it and the client.
const CHUNKS: usize = 16;
const CHUNK_BYTES: usize = 32 * 1024;
/// What is kept of what git says on stderr, for the operator.
const STDERR_BYTES: u64 = 4096;

/// A push before it runs.
pub(crate) struct Push {
    pub(crate) app: App,
    pub(crate) user: User,
}

impl Inner {
    /// Receives a push: `body` goes to git, and what git answers comes from the channel. It goes on to its end
    /// also when the client goes away, as a build does.
    pub(crate) async fn push<E: std::fmt::Display + Send + 'static>(
        self: &Ctx,
        push: Push,
        body: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    ) -> Result<mpsc::Receiver<std::io::Result<Bytes>>, Error> {
        let repository = self.open_repository(push.app.id).await?;
        let limit = self.limits.git_repository_bytes;
        if self.repository_bytes(repository.clone()).await > limit {
            return Err(Error::TooLarge(format!(
                "The app's repository holds more than {limit} bytes. Delete branches that are not needed, or \
                 deploy with `wpaas deploy`."
            )));
        }
        let hook = Hook::new(self.data.scratch_dir()?)?;
        let mut command = self.git_of(&repository);
        command
            .arg("-c")
            .arg(format!("core.hooksPath={}", hook.path().display()))
            .arg("-c")
            .arg(format!("receive.maxInputSize={}", self.limits.git_pack_bytes))
            .args([
                "-c",
                "receive.denyDeleteCurrent=refuse",
                "-c",
                "receive.denyCurrentBranch=ignore",
            ])
            .args(["receive-pack", "--stateless-rpc", "."])
            .env("WPAAS_PUSH", hook.directory())
            .stdin(Stdio::piped());
        let mut child = spawn(command)?;
        let (answer, answered) = mpsc::channel(CHUNKS);
        let idle = Limits::ms(self.limits.idle_ms);
        feed(&mut child, body, idle);
        let inner = self.clone();
        self.builds.tasks.spawn(async move {
            let until = Instant::now() + patience(&inner.limits);
            let received = inner.receive_push(push, &repository, child, hook, until, &answer);
            // git is told first that it took too long, and ends by itself.
            let received = tokio::time::timeout_at(until + idle, received).await;
            let failed = match &received {
                Ok(Ok(_)) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("it took too long".to_owned()),
            };
            if let Some(why) = failed {
                tracing::warn!("a push failed: {why}");
                // A client of git's waits for ever when an answer ends before git's own end of it. This one breaks off.
                let broken = answer.send(Err(std::io::Error::other(why)));
                let _ = tokio::time::timeout(idle, broken).await;
            }
            drop(answer);
            if let Ok(Ok(Some(_turn))) = received
                && let Err(error) = inner.tidy(&repository).await
            {
                tracing::warn!("a repository is not tidied: {error}");
            }
        });
        Ok(answered)
    }

    /// Returns when git has ended. What is returned keeps other pushes of the app from being decided; none when this
    /// one was not either.
    async fn receive_push(
        self: &Ctx,
        push: Push,
        repository: &Path,
        mut child: Child,
        hook: Hook,
        until: Instant,
        answer: &mpsc::Sender<std::io::Result<Bytes>>,
    ) -> Result<Option<AppLock>, Error> {
        let printed = print(child.stdout.take(), answer);
        let stderr = child.stderr.take();
        // Held until git has moved the refs.
        let decided = async {
            let (asked, directory) = hook.asked().await?;
            let turn = self.decide(&push, repository, asked, until).await?;
            Ok::<_, Error>((turn, directory))
        };
        let ended = async {
            let mut said = Vec::new();
            let errors = async {
                if let Some(stderr) = stderr {
                    let _ = stderr.take(STDERR_BYTES).read_to_end(&mut said).await;
                }
            };
            tokio::join!(printed, errors);
            let status = child.wait().await.map_err(io("git receive-pack"));
            Ok::<_, Error>((status?, String::from_utf8_lossy(&said).trim().to_owned()))
        };
        let mut ended = std::pin::pin!(ended);
        let mut decided = std::pin::pin!(decided);
        let (held, (status, said)) = tokio::select! {
            ended = &mut ended => (None, ended?),
            held = &mut decided => (Some(held?), ended.await?),
        };
        if !said.is_empty() || !status.success() {
            tracing::info!(app = %push.app.name, %status, "git receive-pack: {said}");
        }
        Ok(held.map(|(turn, _)| turn))
    }

    /// Answers the hook, by `until` if the app has no other push by then. What is returned keeps other pushes of the
    /// app from being decided.
    async fn decide(
        self: &Ctx,
        push: &Push,
        repository: &Path,
        asked: Asked,
        until: Instant,
    ) -> Result<AppLock, Error> {
        let Asked { quarantine, updates, mut answer } = asked;
        let mut turn = std::pin::pin!(self.pushes.app(push.app.id));
        let turn = match futures::poll!(&mut turn) {
            std::task::Poll::Ready(turn) => turn,
            std::task::Poll::Pending => {
                answer.line("-----> Waiting for another push of this app to end").await?;
                turn.await
            }
        };
        let source = Source { repository, quarantine };
        let accepted = self.accept(push, &source, &updates, &mut answer);
        let accepted = tokio::time::timeout_at(until, accepted).await.unwrap_or_else(|_| {
            let seconds = patience(&self.limits).as_secs();
            Err(Error::Invalid(format!(
                "The push took longer than {seconds} seconds. A build that has begun goes on by itself: \
                 `wpaas releases -a {}` shows what it made.",
                push.app.name
            )))
        });
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                let text = match &error {
                    Error::Database(_) | Error::Io { .. } | Error::Store(_) => {
                        tracing::error!(%error, "a push failed");
                        "Something went wrong inside wpaas; the server's log says what.".to_owned()
                    }
                    error => error.to_string(),
                };
                for line in text.lines() {
                    answer.line(&format!(" !     {line}")).await?;
                }
                false
            }
        };
        if !accepted {
            answer.line(" !").await?;
            answer.line(&format!(" !     Push rejected to {}.", push.app.name)).await?;
        }
        answer.end(accepted)?;
        Ok(turn)
    }

    async fn accept(
        self: &Ctx,
        push: &Push,
        source: &Source<'_>,
        updates: &[Update],
        answer: &mut Answer,
    ) -> Result<bool, Error> {
        self.check_refs(source, updates).await?;
        let (deployed, stored): (Vec<_>, Vec<_>) =
            updates.iter().partition(|update| DEPLOYED.contains(&update.name.as_str()));
        if stored.iter().any(|update| update.name.starts_with("refs/heads/")) && deployed.is_empty()
        {
            answer.line("Pushed to non-main branch, skipping build.").await?;
        }
        let update = match deployed.as_slice() {
            [] => return Ok(true),
            [one] => *one,
            _ => return Err(Error::Invalid("Push either main or master, not both.".into())),
        };
        if is_none(&update.new) {
            return Err(Error::Invalid("The deployed branch cannot be deleted.".into()));
        }
        // git compares this too, but after the hook: then the release would be there and the ref would not.
        if self.current(source.repository, &update.name).await? != update.old {
            return Err(Error::Invalid(
                "Somebody else pushed in the meantime. Fetch first, then push again.".into(),
            ));
        }
        answer.line("Compressing source files... done.").await?;
        let archive = self.archive(source, &update.new).await?;
        answer.line("Building source:").await?;
        answer.line("").await?;
        let wanted = Wanted {
            url: self.urls.git(&push.app.name),
            version: Some(update.new.clone()),
            ..Wanted::default()
        };
        let build = self.create_build_of(&push.app, &push.user, wanted, archive).await?;
        let id = db::id(&build.id)?;
        let mut output =
            std::pin::pin!(builds::stream(self.data.build_log(id), self.builds.live.get(id)));
        while let Some(chunk) = output.next().await {
            answer.raw(&chunk.map_err(io("build output"))?).await?;
        }
        let build = {
            let mut db = self.db.read().await?;
            builds::find(&mut db, push.app.id, &build.id).await?
        };
        if build.status != "succeeded" {
            return Ok(false);
        }
        answer.line("").await?;
        answer.line("Verifying deploy... done.").await?;
        // A clone checks out what is deployed.
        let mut head = self.git_of(source.repository);
        head.args(["symbolic-ref", "HEAD", &update.name]);
        run(head, "git symbolic-ref").await?;
        Ok(true)
    }

    async fn check_refs(&self, source: &Source<'_>, updates: &[Update]) -> Result<(), Error> {
        let limit = self.limits.git_refs;
        let mut refs = self.git_of(source.repository);
        refs.args(["for-each-ref", "--format=x", &format!("--count={limit}")]);
        let known = run(refs, "git for-each-ref").await?.len() / 2;
        let made = updates.iter().filter(|update| is_none(&update.old)).count();
        if (known + made) as u64 > limit {
            return Err(Error::Invalid(format!(
                "A repository has at most {limit} branches and tags; delete some with `git push --delete`."
            )));
        }
        Ok(())
    }

    /// What a ref has now; zeros for nothing.
    async fn current(&self, repository: &Path, name: &str) -> Result<String, Error> {
        let mut list = self.git_of(repository);
        list.args(["for-each-ref", "--format=%(objectname)", name]);
        let printed = run(list, "git for-each-ref").await?;
        let text = String::from_utf8_lossy(&printed).trim().to_owned();
        Ok(if text.is_empty() { "0".repeat(40) } else { text })
    }

    /// The files of a commit, as an upload brings them. Submodules are empty directories in it.
    async fn archive(&self, source: &Source<'_>, commit: &str) -> Result<NamedTempFile, Error> {
        let mut archive = self.git_of(source.repository);
        archive
            // The tree's: a commit's archive begins with an entry that holds the commit's name.
            .args(["archive", "--format=tar.gz", "-1", &format!("{commit}^{{tree}}")])
            .env("GIT_OBJECT_DIRECTORY", &source.quarantine)
            .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", source.repository.join("objects"));
        let mut child = spawn(archive)?;
        let Some(stdout) = child.stdout.take() else { return Err(Error::Stopping) };
        let limit = self.limits.source_upload_bytes;
        let bytes = tokio_util::io::ReaderStream::new(stdout);
        let (file, _) = self.receive(bytes, limit, "source archive").await?;
        let done = child.wait_with_output().await.map_err(io("git archive"))?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            return Err(Error::Build(format!("The commit cannot be read: {}", said.trim())));
        }
        Ok(file)
    }
}

/// Where a pushed commit's objects are.
struct Source<'a> {
    repository: &'a Path,
    quarantine: PathBuf,
}

fn is_none(object: &str) -> bool {
    object.bytes().all(|byte| byte == b'0')
}

fn spawn(mut command: Command) -> Result<Child, Error> {
    command.spawn().map_err(io("git"))
}

/// Hands the request's body to git in a task of its own; a body that breaks off or stalls ends like a truncated
/// one, which git refuses. When git has had enough it has said why in its answer, and the rest is not read.
fn feed<E: std::fmt::Display + Send + 'static>(
    child: &mut Child,
    body: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    idle: std::time::Duration,
) {
    let Some(mut stdin) = child.stdin.take() else { return };
    tokio::spawn(async move {
        let mut body = std::pin::pin!(body);
        while let Ok(Some(Ok(chunk))) = tokio::time::timeout(idle, body.next()).await {
            if stdin.write_all(&chunk).await.is_err() {
                break;
            }
        }
    });
}

/// Sends git's output on until it ends, and goes on reading it when nobody takes it.
async fn print(stdout: Option<ChildStdout>, answer: &mpsc::Sender<std::io::Result<Bytes>>) {
    let Some(mut stdout) = stdout else { return };
    loop {
        let mut chunk = bytes::BytesMut::with_capacity(CHUNK_BYTES);
        match stdout.read_buf(&mut chunk).await {
            Ok(1..) => {
                let _ = answer.send(Ok(chunk.freeze())).await;
            }
            Ok(0) | Err(_) => return,
        }
    }
}
