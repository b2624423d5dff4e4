//! One build from beginning to end: detect, compile, release info, slug.

use std::{fs, path::Path};

use wpaas_slug::Slug;

use crate::{
    Built, Error, Inner, Output, Request,
    buildpacks::{
        Build, Commands, Compiled, Steps,
        chosen::{self, Chosen},
    },
    error::io_at,
    files::{FileLock, blocking},
    procfile,
    sandbox::{Deadline, Workspace},
    settings::Settings,
    slug::{self, Parts},
    source,
};

const PROCFILE: &str = "Procfile";
const BUILDPACK_URL: &str = "BUILDPACK_URL";
/// A Procfile is a few lines; nobody needs more than this.
const PROCFILE_BYTES: u64 = 64 * 1024;

/// Runs a build.
pub(crate) async fn run(inner: &Inner, request: Request) -> Result<Built, Error> {
    let limits = &inner.limits;
    let output = request.output.limited(limits.build_output_bytes);
    // Real paths, since the sandbox mounts by them and tools compare them.
    let Ok(dir) = request.source.canonicalize() else {
        return Err(Error::NoDirectory(request.source));
    };
    fs::create_dir_all(&request.cache).map_err(io_at(&request.cache))?;
    let cache = request.cache.canonicalize().map_err(io_at(&request.cache))?;
    let waiting = "Waiting for another build of this app";
    let _held = FileLock::acquire(&cache.join("lock"), waiting, &output).await?;
    let workspace = Workspace::fresh(&cache.join("work"))?;
    let steps = Steps::default();

    output.step("Building on the wpaas stack");
    inner.tools.sandbox.announce(&output).await;
    // An earlier build's bundles, if this tree is built again.
    crate::files::remove(&dir.join(slug::BUNDLES))?;
    let (tree, table) = (dir.clone(), limits.clone());
    blocking(move || source::apply_slugignore(&tree, &table)).await?;
    let procfile = read_procfile(&dir)?;
    let settings = Settings::read(&dir)?;
    let mut build = Build {
        dir: &dir,
        cache: &cache,
        env: &request.env,
        procfile: procfile.as_ref(),
        settings: &settings,
        output: &output,
        tools: &inner.tools,
        workspace: &workspace,
        deadline: Deadline::after_ms(limits.build_ms),
        steps: &steps,
    };
    let wanted = wanted(&request);
    let choosing = Box::pin(chosen::choose(&build, &wanted));
    let Chosen { before, last: buildpack, undetected } = steps.time("detect", choosing).await?;
    if before.is_empty() {
        output.step(&format!("{} app detected", buildpack.name()));
    }
    if let Some(snapshot) = settings.snapshot.as_ref().filter(|_| !buildpack.makes_snapshots()) {
        let reason = format!("there are no snapshots of {} apps", buildpack.name());
        return Err(Error::settings(snapshot.line, reason));
    }
    for buildpack in before.iter().chain([&buildpack]) {
        steps.time("toolchain", buildpack.prepare(&inner.tools, &output)).await?;
    }
    build.deadline = Deadline::after_ms(limits.build_ms);
    let deadline = build.deadline;
    let work = async {
        let mut exporting = workspace.clone();
        for buildpack in &before {
            output.step(&format!("{} buildpack", buildpack.name()));
            let build = Build { workspace: &exporting, ..build };
            let exports = buildpack.assist(&build).await?;
            exporting.export(exports);
        }
        // Those before may have written it.
        let procfile = read_procfile(&dir)?;
        let build = Build { workspace: &exporting, procfile: procfile.as_ref(), ..build };
        if !before.is_empty() {
            if let Some(name) = &undetected {
                chosen::must_take(&*buildpack, name, &build).await?;
            }
            output.step(&format!("{} buildpack", buildpack.name()));
        }
        let mut compiled = buildpack.compile(&build).await?;
        settings.apply(&mut compiled.processes)?;
        discover(&dir, &buildpack.name(), &compiled, &output)?;
        finish(inner, &dir, buildpack.name(), compiled, &steps, &output).await
    };
    let (slug, written, stack) = deadline.within("the build", Box::pin(work)).await?;
    crate::files::remove(&cache.join("work"))?;
    Ok(Built { slug, written, stack, steps: steps.into_inner() })
}

/// The app's Procfile, if it has one.
pub(crate) fn read_procfile(dir: &Path) -> Result<Option<Commands>, Error> {
    let file = dir.join(PROCFILE);
    if !file.is_file() {
        return Ok(None);
    }
    if file.metadata().map_err(io_at(&file))?.len() > PROCFILE_BYTES {
        return Err(Error::procfile(None, format!("it is larger than {PROCFILE_BYTES} bytes")));
    }
    let bytes = fs::read(&file).map_err(io_at(&file))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        Error::procfile(line, "it is not UTF-8 text")
    })?;
    procfile::parse(&text).map(Some)
}

/// The buildpacks that were asked for; without any, the config var's.
fn wanted(request: &Request) -> Vec<String> {
    if !request.buildpacks.is_empty() {
        return request.buildpacks.clone();
    }
    let url = request.env.get(BUILDPACK_URL).filter(|url| !url.is_empty());
    url.into_iter().cloned().collect()
}

/// Prints where the process types come from.
fn discover(
    dir: &Path,
    buildpack: &str,
    compiled: &Compiled,
    output: &Output,
) -> Result<(), Error> {
    output.step("Discovering process types");
    let procfile = read_procfile(dir)?.unwrap_or_default();
    let (declared, defaults): (Vec<&str>, Vec<&str>) = compiled
        .processes
        .keys()
        .map(String::as_str)
        .partition(|name| procfile.contains_key(*name));
    if !declared.is_empty() {
        output.detail(&format!("Procfile declares types -> {}", declared.join(", ")));
    }
    if !defaults.is_empty() {
        output.detail(&format!("Default types for {buildpack} -> {}", defaults.join(", ")));
    }
    Ok(())
}

/// Writes the slug.
async fn finish(
    inner: &Inner,
    dir: &Path,
    buildpack: String,
    compiled: Compiled,
    steps: &Steps,
    output: &Output,
) -> Result<(Slug, wpaas_slug::store::Written, Option<crate::Stack>), Error> {
    output.step("Compressing...");
    let parts = Parts {
        buildpack,
        stack: compiled.stack.as_ref().map(|stack| stack.name.clone()),
        processes: compiled.processes,
        programs: compiled.programs,
        tree: dir.to_owned(),
        leave_out: compiled.leave_out,
        components: compiled.components,
        component_files: compiled.component_files,
    };
    let assembled = steps.time("slug", slug::assemble(parts, inner.limits.clone())).await?;
    let written = steps.time("store", assembled.put(&inner.store)).await?;
    let megabytes = assembled.slug.config.size() as f64 / (1024.0 * 1024.0);
    output.detail(&format!("Done: {megabytes:.1}M"));
    Ok((assembled.slug, written, compiled.stack))
}
