//! Python apps, unmodified: packages by uv, for the stack's Python and not for the host's, then compiled by the stack's
//! own interpreter. No Wasm is compiled, and no code of the app or its packages runs outside of Wasm.

mod requirements;
mod snapshot;

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use serde::Deserialize;
use wpaas_slug::{ComponentRef, Limits, ProcessType, World};

use super::{Build, Buildpack, Commands, Compiled, Tools, kept::Kept, words};
use crate::{
    Error, Output,
    files::{self, blocking},
    sandbox,
    settings::WEB,
    toolchain::{
        lock::HostTool,
        python::{self, CODE},
        stack::Installed,
    },
};

/// The stack of Python apps.
const STACK: &str = "python-3.14";
/// The version of Python that it is.
const VERSION: &str = "3.14";
/// Where packages are, as Heroku's buildpack has it. `tools/install.py` of the stack has the same.
const PREFIX: &str = ".heroku/python";
/// What the stack says of an app's commands, at most.
const CHECKED_BYTES: usize = 256 * 1024;
/// A config var that turns `collectstatic` off, as on Heroku.
const DISABLE_COLLECTSTATIC: &str = "DISABLE_COLLECTSTATIC";
/// Whether Django is there and would collect static files anywhere: the status is the answer.
const COLLECTS: &str = "import os, re, sys; sys.path.insert(0, os.getcwd()); \
    found = re.search(r'DJANGO_SETTINGS_MODULE.,\\s*.([\\w.]+)', open('manage.py').read()); \
    found and os.environ.setdefault('DJANGO_SETTINGS_MODULE', found[1]); \
    from django.conf import settings; \
    sys.exit(not (settings.STATIC_ROOT and 'django.contrib.staticfiles' in settings.INSTALLED_APPS))";

/// The buildpack of Python.
#[derive(Debug)]
pub(crate) struct Python;

#[async_trait]
impl Buildpack for Python {
    fn name(&self) -> String {
        "Python".into()
    }

    fn makes_snapshots(&self) -> bool {
        true
    }

    async fn detect(&self, build: &Build<'_>) -> Result<bool, Error> {
        if !requirements::are_in(build.dir) {
            return Ok(false);
        }
        // What cannot work is said before anything is installed.
        commands(build)?;
        Ok(true)
    }

    async fn prepare(&self, tools: &Tools, output: &Output) -> Result<(), Error> {
        tools.stack(STACK, output).await.map(drop)
    }

    async fn compile(&self, build: &Build<'_>) -> Result<Compiled, Error> {
        let HostTool::Python(oldest) = build.tools.lock.stack(STACK)?.host else {
            return Err(Error::Internal(format!("{STACK} is not made by Python")));
        };
        let app = App {
            build,
            host: build.tools.python(oldest).await?,
            stack: build.tools.stack(STACK, build.output).await?,
        };
        app.say_version()?;
        let kept = app.install().await?;
        let built = app.build().await;
        let dir = build.dir.to_owned();
        // The slug is made of what is in the tree, so the packages stay there and the cache gets links to them.
        let keep = move || kept.keep_copy(&dir, &[PathBuf::from(PREFIX)]);
        build.steps.time("keep packages", blocking(keep)).await?;
        let mut processes = built?;
        let mut components = HashMap::new();
        if build.settings.snapshot.is_some()
            && let Some(web) = processes.get_mut(WEB)
        {
            let component = snapshot::take(&app, &web.args).await?;
            web.component = ComponentRef::Own { digest: component.digest, size: component.size() };
            components.insert(component.digest, component.bytes);
        }
        Ok(Compiled {
            stack: Some(app.stack.stack.clone()),
            processes,
            programs: programs(build.dir, Limits::size(build.tools.limits.programs)),
            components,
            component_files: Vec::new(),
            leave_out: |_| false,
        })
    }
}

/// What a one-off dyno can run: Python, and the programs of the packages, as far as a slug may name them.
fn programs(dir: &Path, most: usize) -> BTreeMap<String, ComponentRef> {
    let own = ["python", "python3", "python3.14"].map(str::to_owned).into_iter();
    let installed = fs::read_dir(dir.join(PREFIX).join("bin")).into_iter().flatten();
    let mut installed: Vec<String> =
        installed.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    installed.sort();
    own.chain(installed).take(most).map(|name| (name, ComponentRef::Stack)).collect()
}

/// What the Procfile declares, as words.
fn commands(build: &Build<'_>) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let Some(procfile) = build.procfile else {
        let manage = build.dir.join("manage.py").is_file();
        let example = if manage { "PROJECT.wsgi" } else { "MODULE:app" };
        return Err(Error::procfile(
            None,
            format!(
                "there is none, and nothing else says how to start the app: make one with a line such as `web: gunicorn {example}`"
            ),
        ));
    };
    let split = |(process, command): (&String, &String)| {
        let words = words::split_for_start(command).map_err(|reason| Error::Command {
            process: process.clone(),
            command: command.clone(),
            reason,
        })?;
        Ok((process.clone(), words))
    };
    procfile.iter().map(split).collect()
}

/// What the stack says of a command.
#[derive(Debug, Deserialize)]
struct Checked {
    /// Why it cannot run.
    refused: Option<String>,
    /// What of it makes no difference.
    #[serde(default)]
    notes: Vec<String>,
    /// Whether the stack serves it by WSGI, one request at a time.
    #[serde(default)]
    wsgi: bool,
}

/// One app being built.
struct App<'a> {
    build: &'a Build<'a>,
    host: &'a python::Python,
    stack: std::sync::Arc<Installed>,
}

impl App<'_> {
    fn say_version(&self) -> Result<(), Error> {
        let Build { dir, output, .. } = *self.build;
        output.detail(&format!("Using Python {VERSION}, for the {STACK} stack"));
        for (file, prefix) in [(".python-version", ""), ("runtime.txt", "python-")] {
            let Ok(text) = fs::read_to_string(dir.join(file)) else { continue };
            let wanted =
                text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
            let wanted = wanted.unwrap_or(VERSION);
            let wanted = wanted.strip_prefix(prefix).unwrap_or(wanted);
            if wanted != VERSION && !wanted.starts_with(&format!("{VERSION}.")) {
                output.warning(&format!(
                    "{file} asks for Python {wanted}: the {STACK} stack has {VERSION}"
                ));
            }
        }
        Ok(())
    }

    /// Makes the packages be what the app's requirements say. Returns where to keep them afterwards.
    async fn install(&self) -> Result<Kept, Error> {
        let Build { dir, cache, output, .. } = *self.build;
        let prefix = dir.join(PREFIX);
        let inputs = requirements::read(dir)?;
        // The path names the recipe's digest: other tools may install something else.
        let stack = self.stack.dir.to_string_lossy().into_owned();
        let inputs: Vec<&[u8]> =
            inputs.iter().map(Vec::as_slice).chain([stack.as_bytes()]).collect();
        let kept = Kept::new(cache.join("python"), &inputs);
        files::remove(&prefix)?;
        output.step("Installing dependencies");
        if kept.restore(dir)? {
            output.detail("The packages are the last build's: the requirements did not change");
            return Ok(kept);
        }
        let downloads = self.build.tools.stacks.cache_of("uv")?;
        let command = self
            .host
            .tool(&self.stack.dir, dir, "install.py")
            .shown_as("installing packages")
            .config_vars(self.build.env)
            .arg(self.stack.dir.join(CODE))
            .arg(dir)
            .arg(&downloads)
            .writable(&downloads)
            .uses_registry();
        self.build.steps.time("install packages", self.run(command)).await?;
        Ok(kept)
    }

    async fn build(&self) -> Result<BTreeMap<String, ProcessType>, Error> {
        let Build { dir, output, env, .. } = *self.build;
        let processes = self.processes().await?;
        if dir.join("manage.py").is_file()
            && dir.join(PREFIX).join("lib/python3.14/site-packages/django").is_dir()
            && !env.contains_key(DISABLE_COLLECTSTATIC)
        {
            let collects =
                self.guest("looking for static files").config_vars(env).args(["-c", COLLECTS]);
            if self.capture(collects).await?.status.success() {
                output.step("$ python manage.py collectstatic --noinput");
                let collect = self
                    .guest("python manage.py collectstatic --noinput")
                    .config_vars(env)
                    .args(["manage.py", "collectstatic", "--noinput"]);
                self.build.steps.time("collectstatic", self.run(collect)).await?;
            } else {
                output.warning(&format!(
                    "collectstatic is not run: the settings could not be loaded at build time, or \
                     have no STATIC_ROOT (the config var {DISABLE_COLLECTSTATIC}=1 says so too)"
                ));
            }
        }
        // After the app's own programs: they may have made some of it.
        let compile = self
            .guest("compiling the app")
            .args(["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"])
            .args(["-x", r"/\.heroku/|/node_modules/", "/app"]);
        // What does not compile is told when it is imported; an app may hold code of other versions.
        self.build.steps.time("compile", self.capture(compile)).await?;
        Ok(processes)
    }

    /// What each process type runs. The stack knows what it can.
    async fn processes(&self) -> Result<BTreeMap<String, ProcessType>, Error> {
        let none = Commands::new();
        let texts = self.build.procfile.unwrap_or(&none);
        let commands = commands(self.build)?;
        let asked =
            serde_json::to_string(&commands).map_err(|error| Error::Internal(error.to_string()))?;
        let check = self.guest("checking the Procfile").arg("--check").arg(&asked);
        let captured = self.build.steps.time("check the Procfile", self.capture(check)).await?;
        sandbox::check(captured.status, "checking the Procfile".into())?;
        let mut checked: BTreeMap<String, Checked> = serde_json::from_slice(&captured.stdout)
            .map_err(|error| Error::Internal(format!("the {STACK} stack: {error}")))?;
        let mut processes = BTreeMap::new();
        for (process, words) in commands {
            let text = texts.get(&process).cloned().unwrap_or_default();
            let Some(checked) = checked.remove(&process) else {
                return Err(Error::Internal(format!("the {STACK} stack: nothing about {process}")));
            };
            if let Some(reason) = checked.refused {
                return Err(Error::Command { process, command: text, reason });
            }
            for note in &checked.notes {
                self.build.output.warning(&format!("{process}: {note}"));
            }
            if !self.build.settings.leaves_open(&process)
                && self.build.settings.world_of(&process) != World::Cli
            {
                let reason = format!(
                    "the {STACK} stack serves process type {process} on $PORT: leave out `serve`, or \
                     say `serve = \"socket\"`"
                );
                return Err(Error::settings(None, reason));
            }
            let mut made = ProcessType::new(text, ComponentRef::Stack, World::Cli, words);
            made.concurrency = checked.wsgi.then_some(1);
            processes.insert(process, made);
        }
        Ok(processes)
    }

    /// The stack's Python in the app's tree, as a dyno has it.
    fn guest(&self, shown: &str) -> sandbox::Command {
        let Build { dir, .. } = *self.build;
        let command = self.host.tool(&self.stack.dir, dir, "guest.py").shown_as(shown);
        command.arg(self.stack.dir.join(CODE)).arg(dir)
    }

    async fn run(&self, command: sandbox::Command) -> Result<(), Error> {
        let Build { tools, workspace, deadline, output, .. } = *self.build;
        tools.sandbox.run(command, workspace, deadline, output).await
    }

    async fn capture(&self, command: sandbox::Command) -> Result<sandbox::Captured, Error> {
        let Build { tools, workspace, deadline, output, .. } = *self.build;
        tools.sandbox.capture(command, workspace, deadline, output, CHECKED_BYTES).await
    }
}
