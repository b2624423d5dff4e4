//! Snapshots: the app is evaluated at its build, in the stack's component, and gets a component of its own that goes
//! on from there. Its dynos then have nothing to load at their first request.

use std::{fs, path::Path};

use serde::Deserialize;
use wpaas_slug::Digest;

use super::Build;
use crate::{
    Error, SnapshotProgram,
    buildpacks::made::Made,
    component::Component,
    error::io_at,
    files::blocking,
    sandbox::{Command, check},
    settings::Snapshot,
    slug,
    toolchain::stack::Installed,
};

/// What an app is evaluated with unless a config var says otherwise, as its build scripts are run.
const NODE_ENV: (&str, &str) = ("NODE_ENV", "production");
/// What the program prints: names of variables and a few sentences.
const REPORT_BYTES: usize = 256 * 1024;
/// The stack's word for all of the environment.
const ALL: &str = "*";

/// What the program says.
#[derive(Debug, Deserialize)]
struct Report {
    problems: Vec<String>,
    env: Vec<String>,
}

/// Evaluates the app that was bundled in its tree; `args` are those of its process type. When nothing of it changed since
/// the last build, the component is that build's.
pub(super) async fn take(
    build: &Build<'_>,
    stack: &Installed,
    settings: &Snapshot,
    args: &[String],
) -> Result<Component, Error> {
    let Build { tools, workspace, output, .. } = *build;
    let Some(program) = &tools.snapshots else {
        return Err(Error::Toolchain("this program cannot make snapshots of apps".into()));
    };
    output.step("Snapshot");
    let env = environment(build, settings);
    let app = workspace.dir("app")?;
    let (tree, to, limits) = (build.dir.to_owned(), app.clone(), tools.limits.clone());
    let files = blocking(move || {
        // What the slug will hold, and no more: what is not in the slug, a `.env` say, must not be in its component.
        let files = slug::tree_files(&tree, &limits)?;
        files.into_iter().map(|(name, full)| copy(name, &full, &to)).collect::<Result<Vec<_>, _>>()
    });
    let files = files.await?;
    let key = key(&[&[stack.stack.component.to_string()], files.as_slice(), &env, args]);
    let last = Made::new(build.cache);
    if last.is_of(&key) {
        output.detail("The last build's: the app did not change");
    } else {
        let made = workspace.dir("snapshot")?.join("component.wasm");
        let evaluated = run(build, stack, program, (&app, &made), &env, args);
        let read = build.steps.time("snapshot", evaluated).await?;
        tell(build, &read);
        last.replace(&made, &key)?;
    }
    last.read(build, "web starts from the evaluated app").await
}

/// Copies a file of the tree into the directory `to`. Returns a line that says what it is.
fn copy(name: String, from: &Path, to: &Path) -> Result<String, Error> {
    let file = to.join(&name);
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent).map_err(io_at(parent))?;
    }
    let content = fs::read(from).map_err(io_at(from))?;
    fs::write(&file, &content).map_err(io_at(&file))?;
    Ok(format!("{name} {}", Digest::of(&content)))
}

/// One name for everything that decides what a snapshot is.
fn key(inputs: &[&[String]]) -> String {
    let digests: Vec<String> =
        inputs.iter().map(|list| Digest::of(list.join("\n").as_bytes()).to_string()).collect();
    Digest::of(digests.concat().as_bytes()).to_string()
}

/// The config vars that the app may see, `NAME=VALUE`.
fn environment(build: &Build<'_>, settings: &Snapshot) -> Vec<String> {
    let (name, default) = NODE_ENV;
    let mut vars = vec![format!("{name}={}", build.env.get(name).map_or(default, String::as_str))];
    for name in settings.env.iter().filter(|name| *name != NODE_ENV.0) {
        match build.env.get(name) {
            Some(value) => vars.push(format!("{name}={value}")),
            None => {
                build.output.warning(&format!("snapshot_env names {name}, which is no config var"))
            }
        }
    }
    vars
}

/// Runs the program. Returns the names of the variables that the app read.
async fn run(
    build: &Build<'_>,
    stack: &Installed,
    program: &SnapshotProgram,
    (app, made): (&Path, &Path),
    env: &[String],
    args: &[String],
) -> Result<Vec<String>, Error> {
    let Build { tools, workspace, deadline, output, .. } = *build;
    let shown = "evaluating the app for its snapshot";
    let tmp = workspace.dir("snapshot-tmp")?;
    let mut command = Command::new(&program.program, app, shown)
        .dir_read_only()
        .readable(&program.program)
        .readable(&stack.component)
        .args(&program.args)
        .arg("--stack")
        .arg(&stack.component)
        .arg("--app")
        .arg(app)
        .arg("--tmp")
        .arg(&tmp)
        .arg("--output")
        .arg(made)
        .arg("--memory-bytes")
        .arg(tools.limits.dyno_memory_bytes.to_string());
    for variable in env {
        command = command.arg("--env").arg(variable);
    }
    let command = command.arg("--").args(args);
    let ran = tools.sandbox.capture(command, workspace, deadline, output, REPORT_BYTES).await?;
    check(ran.status, shown.to_owned())?;
    let report: Report = serde_json::from_slice(&ran.stdout)
        .map_err(|error| Error::Internal(format!("the report of a snapshot: {error}")))?;
    match report.problems.is_empty() {
        true => Ok(report.env),
        false => Err(Error::Snapshot { problems: report.problems }),
    }
}

/// Says which variables are baked in.
fn tell(build: &Build<'_>, read: &[String]) {
    if read.iter().any(|name| name == ALL) {
        build.output.warning(
            "The app reads all of process.env while it is evaluated. The snapshot keeps what it makes of it: \
             config vars that it should see have to be read by handlers, or be named by snapshot_env",
        );
    }
    // The port is the same in every dyno.
    let named: Vec<&str> =
        read.iter().map(String::as_str).filter(|name| ![ALL, "PORT"].contains(name)).collect();
    if !named.is_empty() {
        build.output.detail(&format!(
            "Read from process.env while it was evaluated, so kept as it is now: {}",
            named.join(", ")
        ));
    }
}
