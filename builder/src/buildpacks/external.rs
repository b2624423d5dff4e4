//! Buildpacks that users bring: Heroku's contract of three programs, `bin/detect BUILD`,
//! `bin/compile BUILD CACHE ENV`, `bin/release BUILD`. What they make has to be a `.wasm` file of the tree.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use async_trait::async_trait;
use serde::Deserialize;
use wpaas_slug::{Limits, pack};

use super::{Build, Buildpack, Commands, Compiled, Tools, component};
use crate::{
    Error,
    error::io_at,
    files,
    output::Output,
    pipeline::read_procfile,
    sandbox::{Command, check},
};

/// `bin/detect`'s and `bin/release`'s output.
const PRINTED_BYTES: usize = 64 * 1024;
/// What is taken of the name that `bin/detect` prints.
const NAME_CHARACTERS: usize = 60;

/// The buildpack of `BUILDPACK_URL`.
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
    /// Opens a directory, or unpacks a tarball, which may hold as much as an app, into `unpacked`.
    pub(crate) fn open(url: &str, unpacked: &Path, tools: &Tools) -> Result<Self, Error> {
        let refused = |reason: String| Error::Buildpack { url: url.to_owned(), reason };
        let expected = "expected a local directory or a .tgz or .tar.gz file";
        let path = url.strip_prefix("file://").unwrap_or(url);
        if path.contains("://") {
            return Err(refused(format!("{expected}; fetch it first")));
        }
        let path = Path::new(path);
        if !path.is_absolute() {
            return Err(refused(format!("{expected}, by its absolute path")));
        }
        let Ok(path) = path.canonicalize() else {
            return Err(refused(format!("{expected}; there is nothing at that path")));
        };
        if tools.sandbox.hides(&path) {
            return Err(refused("it lies where the platform keeps its data".into()));
        }
        let dir = if path.is_dir() {
            path
        } else if [".tgz", ".tar.gz"].iter().any(|end| url.ends_with(end)) {
            files::fresh_dir(unpacked)?;
            let archive = fs::File::open(&path).map_err(io_at(&path))?;
            let bounds = pack::Bounds {
                bytes: tools.limits.source_bytes,
                entries: tools.limits.source_files,
            };
            pack::unpack(archive, unpacked, bounds).map_err(|error| refused(error.to_string()))?;
            only_directory(unpacked).unwrap_or_else(|| unpacked.to_owned())
        } else {
            return Err(refused(format!("{expected}, found another file")));
        };
        for program in ["bin/detect", "bin/compile"] {
            if !dir.join(program).is_file() {
                return Err(refused(format!("it has no {program}")));
            }
        }
        Ok(Self { url: url.to_owned(), dir, name: OnceLock::new() })
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

/// Archives often hold one directory with everything inside.
fn only_directory(dir: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(dir).ok()?.filter_map(Result::ok);
    let only = entries.next().filter(|entry| entry.file_name() != "bin")?;
    (entries.next().is_none() && only.path().is_dir()).then(|| only.path())
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

    async fn compile(&self, build: &Build<'_>) -> Result<Compiled, Error> {
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
        build.steps.time("compile", run).await?;
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
