//! `wpaas.toml`, in the app's root: how its process types run, where the Procfile has no words for it.

use std::{collections::BTreeMap, fs, num::NonZeroU32, path::Path};

use serde::Deserialize;
use toml::Spanned;
use wpaas_slug::{Isolation, ProcessType, World};

use crate::{Error, error::io_at};

/// The file's name.
pub(crate) const FILE: &str = "wpaas.toml";
/// It holds a few lines; nobody needs more than this.
const FILE_BYTES: u64 = 64 * 1024;
/// The process type that serves requests.
pub(crate) const WEB: &str = "web";

/// What an app's `wpaas.toml` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `snapshot = true`: the app is evaluated at its build.
    pub(crate) snapshot: Option<Snapshot>,
    processes: BTreeMap<String, ProcessSettings>,
    /// What runs a Node.js app.
    pub(crate) engine: Option<Engine>,
}

/// A JavaScript engine: `[node] engine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Engine {
    /// One request at a time to an instance, by WASI 0.2.
    Starlingmonkey,
    /// Many requests at once to an instance, by WASI 0.3.
    Quickjs,
}

/// What the file says of the app's snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// The line that asks for one.
    pub(crate) line: usize,
    /// Names of the config vars that the app sees while it is evaluated.
    pub(crate) env: Vec<String>,
}

/// One `[processes.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ProcessSettings {
    /// The table's line in the file.
    line: usize,
    serve: Option<Serve>,
    isolation: Option<Isolation>,
    concurrency: Option<NonZeroU32>,
}

/// How requests come to a process type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Serve {
    /// By the functions of `wasi:http`.
    Http,
    /// As to a CGI program (RFC 3875).
    Cgi,
    /// As to a server that listens on `$PORT`.
    Socket,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    snapshot: Option<Spanned<bool>>,
    snapshot_env: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    processes: BTreeMap<String, Spanned<Process>>,
    #[serde(default)]
    node: Node,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    engine: Option<Engine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Process {
    serve: Option<Spanned<Serve>>,
    isolation: Option<Isolation>,
    concurrency: Option<Spanned<NonZeroU32>>,
}

impl Settings {
    /// Reads the file in `dir`; without it, everything has its default.
    pub(crate) fn read(dir: &Path) -> Result<Self, Error> {
        let file = dir.join(FILE);
        if !file.is_file() {
            return Ok(Self::default());
        }
        if file.metadata().map_err(io_at(&file))?.len() > FILE_BYTES {
            return Err(Error::settings(None, format!("it is larger than {FILE_BYTES} bytes")));
        }
        let text = String::from_utf8(fs::read(&file).map_err(io_at(&file))?)
            .map_err(|_| Error::settings(None, "it is not UTF-8 text"))?;
        Self::parse(&text)
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let line = |at: usize| {
            text.get(..at).unwrap_or_default().bytes().filter(|byte| *byte == b'\n').count() + 1
        };
        let file: File = toml::from_str(text).map_err(|error| {
            Error::settings(error.span().map(|span| line(span.start)), error.message().trim())
        })?;
        let mut processes = BTreeMap::new();
        for (name, process) in file.processes {
            let table = line(process.span().start);
            let process = process.into_inner();
            if let Some(serve) = process.serve.as_ref().filter(|_| name != WEB) {
                let reason = format!("process type {name} serves no requests, only {WEB} does");
                return Err(Error::settings(line(serve.span().start), reason));
            }
            let serve = process.serve.map(Spanned::into_inner);
            let one_at_a_time =
                serve == Some(Serve::Cgi) || process.isolation == Some(Isolation::Request);
            if let Some(concurrency) = process.concurrency.as_ref().filter(|_| one_at_a_time)
                && concurrency.get_ref().get() > 1
            {
                let reason = "an instance for each request works on one at a time: leave out \
                              `concurrency`, or what gives each request an instance";
                return Err(Error::settings(line(concurrency.span().start), reason));
            }
            let settings = ProcessSettings {
                line: table,
                serve,
                isolation: process.isolation,
                concurrency: process.concurrency.map(Spanned::into_inner),
            };
            processes.insert(name, settings);
        }
        let asked = file.snapshot.filter(|asked| *asked.get_ref());
        let snapshot = match (asked, file.snapshot_env) {
            (Some(asked), env) => Some(Snapshot {
                line: line(asked.span().start),
                env: env.map(Spanned::into_inner).unwrap_or_default(),
            }),
            (None, Some(env)) => {
                let reason = "`snapshot_env` is for apps with `snapshot = true`";
                return Err(Error::settings(line(env.span().start), reason));
            }
            (None, None) => None,
        };
        Ok(Self { snapshot, processes, engine: file.node.engine })
    }

    /// The world in which the process type `process` runs.
    pub(crate) fn world_of(&self, process: &str) -> World {
        match self.processes.get(process).and_then(|settings| settings.serve) {
            Some(Serve::Cgi) => World::Cgi,
            Some(Serve::Http) => World::Http,
            Some(Serve::Socket) => World::Cli,
            None if process == WEB => World::Http,
            None => World::Cli,
        }
    }

    /// Whether the file leaves it to the component how requests come to the process type `process`.
    pub(crate) fn leaves_open(&self, process: &str) -> bool {
        self.processes.get(process).is_none_or(|settings| settings.serve.is_none())
    }

    /// Gives the process types that a buildpack made what the file says of them.
    pub(crate) fn apply(&self, made: &mut BTreeMap<String, ProcessType>) -> Result<(), Error> {
        for (name, settings) in &self.processes {
            let Some(process) = made.get_mut(name) else {
                let known: Vec<&str> = made.keys().map(String::as_str).collect();
                let known = known.join(", ");
                let reason = format!("the app has no process type {name}; it has {known}");
                return Err(Error::settings(settings.line, reason));
            };
            process.isolation = settings.isolation.unwrap_or_default();
            process.concurrency = settings.concurrency.map(NonZeroU32::get).or(process.concurrency);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wpaas_slug::ComponentRef;

    use super::*;
    use crate::Kind;

    fn process() -> ProcessType {
        ProcessType::new("x", ComponentRef::Stack, World::Http, vec![])
    }

    #[test]
    fn says_how_process_types_run() {
        let text = "# settings\n[processes.web]\nserve = \"http\"\nisolation = \"request\"\n\n\
                    [processes.worker]\nconcurrency = 4\n";
        let settings = Settings::parse(text).unwrap();
        let mut made: BTreeMap<String, ProcessType> =
            ["web", "worker", "clock"].map(|name| (name.to_owned(), process())).into();
        settings.apply(&mut made).unwrap();
        assert_eq!(made["web"].isolation, Isolation::Request);
        assert_eq!(made["worker"].concurrency, Some(4));
        assert_eq!(made["clock"], process());

        let cgi = Settings::parse("processes.web.serve = \"cgi\"").unwrap();
        assert_eq!(cgi.world_of("web"), World::Cgi);
        assert!(!cgi.leaves_open("web") && cgi.leaves_open("worker"));
        let socket = Settings::parse("processes.web.serve = \"socket\"").unwrap();
        assert_eq!(socket.world_of("web"), World::Cli);
        assert_eq!(Settings::default(), Settings::parse("").unwrap());
        assert_eq!(Settings::default(), Settings::parse("snapshot = false").unwrap());
        let snapshot =
            Settings::parse("\nsnapshot = true\nsnapshot_env = [\"MODE\"]").unwrap().snapshot;
        assert_eq!(snapshot, Some(Snapshot { line: 2, env: vec!["MODE".into()] }));
        assert_eq!(Settings::default().world_of("web"), World::Http);
        assert_eq!(Settings::default().world_of("worker"), World::Cli);
    }

    #[test]
    fn errors_name_the_line() {
        for (text, line, says) in [
            ("[processes.web]\n\nserv = \"cgi\"", 3, "unknown field `serv`"),
            ("[process.web]", 1, "unknown field `process`"),
            ("[processes.web]\nserve = \"fastcgi\"", 2, "unknown variant `fastcgi`"),
            ("[processes.web]\nisolation = 1", 2, "string"),
            ("[processes.web]\nconcurrency = 0", 2, "nonzero"),
            ("[processes.web]\nconcurrency = -1", 2, "-1"),
            ("[processes.web\n", 1, "unclosed table"),
            ("snapshot = 1", 1, "expected a boolean"),
            ("\nsnapshot_env = [\"A\"]", 2, "`snapshot = true`"),
            ("\n[processes.worker]\nserve = \"cgi\"", 3, "serves no requests"),
            ("[processes.web]\nserve = \"cgi\"\nconcurrency = 2", 3, "one at a time"),
            ("[processes.web]\nconcurrency = 2\nisolation = \"request\"", 2, "one at a time"),
        ] {
            let error = Settings::parse(text).unwrap_err();
            let message = error.to_string();
            assert_eq!(error.kind(), Kind::Settings { line: Some(line) }, "{text:?}: {message}");
            assert!(message.starts_with(&format!("wpaas.toml line {line}: ")), "{message}");
            assert!(message.contains(says), "{text:?}: {message}");
        }
        let settings = Settings::parse("\n[processes.weeb]\n").unwrap();
        let error = settings.apply(&mut [("web".to_owned(), process())].into()).unwrap_err();
        let expected = "wpaas.toml line 2: the app has no process type weeb; it has web";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn files_that_are_no_settings_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Settings::read(dir.path()).unwrap(), Settings::default());
        for (content, says) in [(vec![b'#'; 70_000], "larger than"), (vec![0xff], "not UTF-8")] {
            fs::write(dir.path().join(FILE), content).unwrap();
            let error = Settings::read(dir.path()).unwrap_err().to_string();
            assert!(error.starts_with("wpaas.toml: ") && error.contains(says), "{error}");
        }
    }
}
