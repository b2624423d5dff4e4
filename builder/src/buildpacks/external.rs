//! Buildpacks that users bring: Heroku's contract of three programs, `bin/detect BUILD`,
//! `bin/compile BUILD CACHE ENV`, `bin/release BUILD`, and a script `export`. What the last of an app's buildpacks makes has
//! to be a `.wasm` file of the tree.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use async_trait::async_trait;
use serde::Deserialize;
use wpaas_slug::Limits;

use super::{
    Build, Buildpack, Commands, Compiled, Tools, component,
    place::{self, LocalBuildpacks, Place},
};
use crate::{
    Error,
    error::io_at,
    files,
    output::Output,
    pipeline::read_procfile,
    sandbox::{
        Command, check,
        exports::{self, Exports},
    },
};

pub(super) mod fetch;

/// `bin/detect`'s and `bin/release`'s output.
const PRINTED_BYTES: usize = 64 * 1024;
/// What is taken of the name that `bin/detect` prints.
const NAME_CHARACTERS: usize = 60;

/// A buildpack in a directory.
#[derive(Debug)]
pub(crate) struct External {
    url: String,
    dir: PathBuf,
    /// What `bin/detect` printed: the buildpack's own name.
    name: OnceLock<String>,
}

/// What `bin/release` prints, as far as it matters here.
#[derive(Debug, Default, Deserialize)]
struct ReleaseInfo {
    #[serde(default)]
    default_process_types: Option<BTreeMap<String, String>>,
}

impl External {
    /// The buildpack at `place`, brought to this app's cache if it is elsewhere.
    pub(crate) async fn open(url: &str, place: &Place, build: &Build<'_>) -> Result<Self, Error> {
        let url = place::shown(url);
        let refused = |reason: String| Error::Buildpack { url: url.clone(), reason };
        if let Some(path) = place.path() {
            allowed(path, build.tools).map_err(refused)?;
        }
        let dir = match place {
            Place::Local(path) => local(path, build).await,
            place => fetch::fetch(place, build).await,
        };
        let dir = dir.map_err(|error| match error {
            fetch::Error::Refused(reason) => refused(reason),
            fetch::Error::Build(error) => error,
        })?;
        if !dir.join("bin/compile").is_file() {
            return Err(refused("it has no bin/compile".into()));
        }
        Ok(Self { url, dir, name: OnceLock::new() })
    }

    /// `bin/compile`, which builds in the app's tree.
    async fn run_compile(&self, build: &Build<'_>) -> Result<(), Error> {
        let cache = build.cache.join("external");
        fs::create_dir_all(&cache).map_err(io_at(&cache))?;
        let env_dir = build.workspace.dir("env")?;
        for (name, value) in build.env {
            // A config var's name is a file's name here, which not every text can be.
            if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.is_empty() {
                let file = env_dir.join(name);
                fs::write(&file, value).map_err(io_at(&file))?;
            }
        }
        let command = self.program(build, "bin/compile").arg(&cache).arg(&env_dir);
        let run = build.tools.sandbox.run(
            command.writable(&cache),
            build.workspace,
            build.deadline,
            build.output,
        );
        build.steps.time("compile", run).await
    }

    /// What its `export` script says, by a shell that sources it.
    async fn exports(&self, build: &Build<'_>) -> Result<Exports, Error> {
        let script = self.dir.join("export");
        if !script.is_file() {
            return Ok(Exports::default());
        }
        // Heroku's run under bash; where there is none, most of them need no more than a shell.
        let sandbox = &build.tools.sandbox;
        let shell = sandbox.host().find("bash").unwrap_or_else(|| "/bin/sh".into());
        let command = Command::new(shell, build.dir, "export")
            .arg("-c")
            .arg(exports::SCRIPT)
            .arg(&script)
            .env("STACK", "wpaas")
            .readable(&self.dir);
        let run =
            sandbox.capture(command, build.workspace, build.deadline, build.output, PRINTED_BYTES);
        let captured = run.await?;
        check(captured.status, "export".into())?;
        Ok(Exports::parse(&captured.stdout, &self.dir))
    }

    fn program(&self, build: &Build<'_>, name: &str) -> Command {
        Command::new(self.dir.join(name), build.dir, name)
            .arg(build.dir)
            .env("STACK", "wpaas")
            .readable(&self.dir)
    }

    async fn release(&self, build: &Build<'_>) -> Result<Commands, Error> {
        if !self.dir.join("bin/release").is_file() {
            return Ok(Commands::new());
        }
        let command = self.program(build, "bin/release");
        let captured = build
            .tools
            .sandbox
            .capture(command, build.workspace, build.deadline, build.output, PRINTED_BYTES)
            .await?;
        check(captured.status, "bin/release".into())?;
        let text = String::from_utf8_lossy(&captured.stdout);
        release_info(&text).map_err(|error| Error::Buildpack {
            url: self.url.clone(),
            reason: format!("bin/release printed YAML that cannot be read: {error}"),
        })
    }
}

/// The process types in what `bin/release` has printed.
pub(crate) fn release_info(text: &str) -> Result<Commands, serde_saphyr::Error> {
    if text.trim_start_matches("---").trim().is_empty() {
        return Ok(Commands::new());
    }
    let info: ReleaseInfo = serde_saphyr::from_str(text)?;
    Ok(info.default_process_types.unwrap_or_default())
}

/// Whether a buildpack may lie at `path` of this machine, or why not.
pub(super) fn allowed(path: &Path, tools: &Tools) -> Result<(), String> {
    if !path.is_absolute() {
        return Err("expected an absolute path".into());
    }
    // A path that leads nowhere is compared as it stands.
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if tools.sandbox.hides(&real) {
        return Err("it lies where the platform keeps its data".into());
    }
    let LocalBuildpacks::Below(dirs) = &tools.local_buildpacks else { return Ok(()) };
    let dirs: Vec<_> = dirs.iter().filter_map(|dir| dir.canonicalize().ok()).collect();
    if dirs.iter().any(|dir| real.starts_with(dir)) {
        return Ok(());
    }
    Err("the operator of this platform does not allow buildpacks at this path (`wpaas serve --buildpack-dir`); \
         use the https:// address of a git repository or a .tgz file"
        .into())
}

/// A directory, or a tarball unpacked in the app's cache.
async fn local(path: &Path, build: &Build<'_>) -> Result<PathBuf, fetch::Error> {
    let expected = "expected a directory or a .tgz or .tar.gz file";
    let Ok(real) = path.canonicalize() else {
        return Err(fetch::Error::Refused(format!("{expected}; there is nothing at that path")));
    };
    if real.is_dir() {
        return Ok(real);
    }
    let name = real.to_string_lossy();
    if [".tgz", ".tar.gz"].iter().any(|end| name.ends_with(end)) {
        return fetch::local(real.clone(), build).await;
    }
    Err(fetch::Error::Refused(format!("{expected}, found another file")))
}

#[async_trait]
impl Buildpack for External {
    fn name(&self) -> String {
        self.name.get().cloned().unwrap_or_else(|| {
            let path = Path::new(self.url.trim_end_matches('/'));
            path.file_name()
                .map_or_else(|| self.url.clone(), |name| name.to_string_lossy().into_owned())
        })
    }

    async fn detect(&self, build: &Build<'_>) -> Result<bool, Error> {
        if !self.dir.join("bin/detect").is_file() {
            let reason = "it has no bin/detect".into();
            return Err(Error::Buildpack { url: self.url.clone(), reason });
        }
        let command = self.program(build, "bin/detect");
        let captured = build
            .tools
            .sandbox
            .capture(command, build.workspace, build.deadline, &Output::silent(), PRINTED_BYTES)
            .await?;
        let said = String::from_utf8_lossy(&captured.stdout);
        if !captured.status.success() {
            let said: String = said.trim().chars().take(200).collect();
            return Err(Error::Buildpack {
                url: self.url.clone(),
                reason: format!("its bin/detect does not take this app ({said})"),
            });
        }
        // Heroku's contract: detect prints what the app is, "Ruby".
        let name = said.lines().next().unwrap_or_default().trim();
        if !name.is_empty() {
            self.name.get_or_init(|| name.chars().take(NAME_CHARACTERS).collect());
        }
        Ok(true)
    }

    fn assists(&self) -> bool {
        true
    }

    async fn assist(&self, build: &Build<'_>) -> Result<Exports, Error> {
        self.run_compile(build).await?;
        self.exports(build).await
    }

    async fn compile(&self, build: &Build<'_>) -> Result<Compiled, Error> {
        self.run_compile(build).await?;
        let defaults = self.release(build).await?;
        // The buildpack may have written a Procfile; what it declares goes before the defaults.
        let mut commands = defaults;
        commands.extend(read_procfile(build.dir)?.unwrap_or_default());
        if commands.is_empty() {
            return Err(Error::Buildpack {
                url: self.url.clone(),
                reason: "neither a Procfile nor its bin/release declares a process type".into(),
            });
        }
        let (dir, limits): (_, Limits) = (build.dir.to_owned(), build.tools.limits.clone());
        let settings = build.settings.clone();
        files::blocking(move || component::compile(&dir, &commands, &settings, &limits)).await
    }
}
