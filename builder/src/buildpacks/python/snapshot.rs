//! Snapshots: the stack's component with the libraries of an app loaded, as a component of the app's own. A dyno then
//! loads the app's own modules, with the release's config vars, and nothing else.

use std::{fs, path::Path};

use wpaas_slug::Digest;

use super::{App, PREFIX, STACK};
use crate::{Error, buildpacks::made::Made, component::Component, error::io_at, sandbox::check};

/// Where packages are in [`PREFIX`].
const SITE_PACKAGES: &str = "lib/python3.14/site-packages";

/// The component of the web process that runs `words`. When the libraries that it loads are the last build's, so is the
/// component.
pub(super) async fn take(app: &App<'_>, words: &[String]) -> Result<Component, Error> {
    let (build, stack) = (app.build, &app.stack);
    build.output.step("Snapshot");
    if let Some(settings) =
        build.settings.snapshot.as_ref().filter(|settings| !settings.env.is_empty())
    {
        let reason = "snapshot_env is not for Python apps: their modules are loaded by each dyno, with all config vars";
        return Err(Error::settings(settings.line, reason));
    }
    let site_packages = build.dir.join(PREFIX).join(SITE_PACKAGES);
    let packages = packages(&site_packages);
    let modules = modules(app, words).await?;
    let key = format!(
        "{} {} {}",
        stack.stack.component,
        Digest::of(packages.as_bytes()),
        Digest::of(&modules)
    );
    let last = Made::new(build.cache);
    if last.is_of(&key) {
        build.output.detail("The last build's: the libraries did not change");
    } else {
        let dir = build.workspace.dir("snapshot")?;
        let (list, made) = (dir.join("modules.json"), dir.join("component.wasm"));
        fs::write(&list, &modules).map_err(io_at(&list))?;
        let command = app.host.snapshot(&stack.dir, &dir, (&site_packages, &list, &made));
        build.steps.time("snapshot", app.run(command)).await?;
        last.replace(&made, &key)?;
    }
    last.read(build, "web starts with its libraries loaded").await
}

/// What the process loads until it listens, as JSON.
async fn modules(app: &App<'_>, words: &[String]) -> Result<Vec<u8>, Error> {
    let shown = "starting the app to see what it loads";
    let words = serde_json::to_string(words).map_err(|error| Error::Internal(error.to_string()))?;
    let command = app.guest(shown).config_vars(app.build.env).arg("--modules").arg(words);
    let captured = app.build.steps.time("look at the app", app.capture(command)).await?;
    check(captured.status, shown.to_owned())?;
    // Before it may be what the app printed when it was ended.
    let last =
        captured.stdout.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let names: Vec<String> = serde_json::from_slice(last)
        .map_err(|error| Error::Internal(format!("the {STACK} stack: {error}")))?;
    app.build.output.detail(&format!("{} modules of libraries", names.len()));
    Ok(last.to_vec())
}

/// Names and versions of what is installed.
fn packages(site_packages: &Path) -> String {
    let found = fs::read_dir(site_packages).into_iter().flatten();
    let names = found.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".dist-info")).collect();
    names.sort();
    names.join("\n")
}
