//! Node.js apps, unmodified: dependencies by npm, the app's own build scripts, then one bundle a process type,
//! which the shared engine of the stack loads. No Wasm is compiled, which is why this is quick.

mod command;
mod manager;
mod modules;
mod package_json;
mod snapshot;

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    fs,
};

use async_trait::async_trait;
use command::Launch;
use manager::{Choice, Kind, Tool};
use package_json::PackageJson;
use wpaas_slug::{ComponentRef, ProcessType, World};

use super::{Build, Buildpack, Commands, Compiled, Tools, kept::Kept};
use crate::{
    Error, Output,
    error::io_at,
    files::{self, blocking},
    settings::Engine,
    slug::BUNDLES,
    toolchain::{lock::HostTool, node::Node, stack::Installed},
};

/// The process type that serves requests.
const WEB: &str = "web";
/// The stack of Node.js apps.
const STACK: &str = "node-20";
/// The same on the engine that has many requests at once.
const QUICKJS: &str = "node-20-quickjs";
/// The config var that chooses the engine, before `wpaas.toml` does.
const ENGINE: &str = "WPAAS_JS_ENGINE";
/// What a one-off dyno can run on it.
const PROGRAMS: [&str; 2] = ["node", "nodejs"];
/// Scripts of package.json that are bundled for one-off dynos, at most.
const MAX_SCRIPTS: usize = 8;
const YARN_PRODUCTION: &str = "YARN_PRODUCTION";

/// The buildpack of Node.js.
#[derive(Debug)]
pub(crate) struct NodeJs;

#[async_trait]
impl Buildpack for NodeJs {
    fn name(&self) -> String {
        "Node.js".into()
    }

    fn makes_snapshots(&self) -> bool {
        true
    }

    async fn detect(&self, build: &Build<'_>) -> Result<bool, Error> {
        if !build.dir.join(package_json::FILE).is_file() {
            return Ok(false);
        }
        // What cannot work is said before anything is installed.
        let package = PackageJson::read(build.dir)?;
        if package.has_dependencies() {
            manager::choose(build.dir, &package)?;
        }
        if let Some(web) = commands(build, &package)?.get(WEB) {
            command::launch(build.dir, &package, WEB, web)?;
        }
        Ok(true)
    }

    async fn prepare(&self, tools: &Tools, output: &Output) -> Result<(), Error> {
        tools.stack(STACK, output).await.map(drop)
    }

    async fn compile(&self, build: &Build<'_>) -> Result<Compiled, Error> {
        let name = match engine(build)? {
            Engine::Starlingmonkey => STACK,
            Engine::Quickjs => QUICKJS,
        };
        let stack = build.tools.stack(name, build.output).await?;
        let HostTool::Node(oldest) = build.tools.lock.stack(name)?.host else {
            return Err(Error::Internal(format!("{name} is not made by Node.js")));
        };
        let node = build.tools.node(oldest).await?;
        let package = PackageJson::read(build.dir)?;
        if let Some(engines) = package.engines_node() {
            build.output.detail(&format!("engines.node (package.json): {engines}"));
            if node.is_in(engines).await? == Some(false) {
                build.output.warning(&format!(
                    "package.json asks for Node.js {engines}; the {name} stack has the API of Node.js 20 and the \
                     build runs on {}. There is no other version: change engines.node when the app works",
                    node.version
                ));
            }
        }
        let choice = match package.has_dependencies() {
            true => Some(manager::choose(build.dir, &package)?),
            false => None,
        };
        let tool = match &choice {
            Some(choice) => choice.ensure(build, node).await?,
            None => Tool::npm(),
        };
        build.output.detail(&format!(
            "Building with Node.js {} and {}, for the {name} stack",
            node.version,
            tool.name(node)
        ));
        let launches = launches(build, &package, &stack)?;
        let app = App { build, node, package: &package, tool };
        app.script("heroku-prebuild").await?;
        let modules = app.install(choice).await?;
        let built = app.build(&stack, launches).await;
        if let Some(modules) = modules {
            let dir = build.dir.to_owned();
            let keep = move || modules.keep(&dir, &modules::find(&dir)?);
            build.steps.time("keep node_modules", blocking(keep)).await?;
        }
        let mut processes = built?;
        let mut components = HashMap::new();
        if let Some(settings) = &build.settings.snapshot
            && let Some(web) = processes.get_mut(WEB)
        {
            let component = snapshot::take(build, &stack, settings, &web.args).await?;
            web.component = ComponentRef::Own { digest: component.digest, size: component.size() };
            components.insert(component.digest, component.bytes);
        }
        Ok(Compiled {
            stack: Some(stack.stack.clone()),
            processes,
            programs: PROGRAMS.map(|name| (name.to_owned(), ComponentRef::Stack)).into(),
            components,
            component_files: Vec::new(),
            leave_out: |_| false,
        })
    }
}

/// The engine that the config var or `wpaas.toml` chooses.
fn engine(build: &Build<'_>) -> Result<Engine, Error> {
    let chosen = match build.env.get(ENGINE).map(String::as_str) {
        None | Some("") => build.settings.engine.unwrap_or(Engine::Starlingmonkey),
        Some("starlingmonkey") => Engine::Starlingmonkey,
        Some("quickjs") => Engine::Quickjs,
        Some(other) => {
            return Err(Error::settings(
                None,
                format!("{ENGINE} is {other}: the engines are starlingmonkey and quickjs"),
            ));
        }
    };
    if let Some(snapshot) = build.settings.snapshot.as_ref().filter(|_| chosen == Engine::Quickjs) {
        let reason =
            "a snapshot is for the engine starlingmonkey: leave out `snapshot` or the engine";
        return Err(Error::settings(snapshot.line, reason));
    }
    Ok(chosen)
}

/// What each process type runs, those left out that the stack cannot run.
fn launches(
    build: &Build<'_>,
    package: &PackageJson,
    stack: &Installed,
) -> Result<Vec<(String, String, Launch)>, Error> {
    let name = &stack.stack.name;
    let mut launches = Vec::new();
    for (process, command) in commands(build, package)? {
        let world = build.settings.world_of(&process);
        if world == World::Cgi {
            let reason =
                format!("the {name} stack serves process type {process} by HTTP, not as CGI");
            return Err(Error::settings(None, reason));
        }
        if !stack.worlds.contains(&world) {
            build.output.warning(&format!(
                "Process type {process} is left out: the {name} stack runs web processes only"
            ));
            continue;
        }
        let launch = command::launch(build.dir, package, &process, &command)?;
        for warning in &launch.warnings {
            build.output.warning(&format!("{process}: {warning}"));
        }
        launches.push((process, command, launch));
    }
    Ok(launches)
}

/// What the Procfile declares, or Heroku's rule for an app without one.
fn commands(build: &Build<'_>, package: &PackageJson) -> Result<Commands, Error> {
    if let Some(procfile) = build.procfile {
        return Ok(procfile.clone());
    }
    if package.scripts.contains_key("start") || build.dir.join("server.js").is_file() {
        return Ok(Commands::from([(WEB.to_owned(), "npm start".to_owned())]));
    }
    Err(PackageJson::error(
        "nothing says how to start the app: add a script \"start\", or a Procfile with a line such as \
         `web: node index.js`",
    ))
}

/// One app being built.
struct App<'a> {
    build: &'a Build<'a>,
    node: &'a Node,
    package: &'a PackageJson,
    tool: Tool,
}

impl App<'_> {
    /// Makes `node_modules` be what the lockfile says. Returns where to keep it afterwards.
    async fn install(&self, choice: Option<Choice>) -> Result<Option<Kept>, Error> {
        let Build { dir, cache, output, .. } = *self.build;
        let Some(Choice { kind, lockfile, .. }) = choice else { return Ok(None) };
        output.step("Installing dependencies");
        // The app's own settings may leave out packages or name another registry.
        let [npmrc, yarnrc, yarnrc_yml] = [".npmrc", ".yarnrc", ".yarnrc.yml"]
            .map(|file| fs::read(dir.join(file)).unwrap_or_default());
        let dependencies = self.package.dependencies_key();
        let tool = self.tool.name(self.node);
        let production = self.without_dev_dependencies(kind);
        let inputs = [
            lockfile.as_slice(),
            dependencies.as_bytes(),
            self.node.version.as_bytes(),
            tool.as_bytes(),
            if production { b"production" } else { b"" },
            &npmrc,
            &yarnrc,
            &yarnrc_yml,
        ];
        let modules = Kept::new(cache.join("node"), &inputs);
        if modules.restore(dir)? {
            output.detail("node_modules is the last build's: the lockfile did not change");
            return Ok(Some(modules));
        }
        let stacks = &self.build.tools.stacks;
        let downloads = match kind {
            Kind::Npm => stacks.npm_cache()?,
            Kind::Pnpm => stacks.cache_of("pnpm")?,
            Kind::YarnClassic => stacks.cache_of("yarn-1")?,
            Kind::Yarn => stacks.cache_of("yarn")?,
        };
        let command = self.tool.install(self.node, dir, &downloads, production);
        let command = command.config_vars(&self.config_vars());
        let step = if kind == Kind::Npm { "npm ci" } else { "install" };
        let manifests = if kind == Kind::Yarn { package_json::all(dir)? } else { Vec::new() };
        self.build.steps.time(step, self.run(command)).await?;
        // Yarn writes them in its own style, and a build that installs nothing would give another slug.
        for (file, content) in manifests {
            fs::write(&file, content).map_err(io_at(&file))?;
        }
        Ok(Some(modules))
    }

    /// The config vars that programs of the build get.
    fn config_vars(&self) -> BTreeMap<String, String> {
        let mut vars = self.build.env.clone();
        // Yarn 2 and later refuse to run when they see a variable of Yarn 1.
        if self.tool.kind() == Kind::Yarn {
            vars.remove(YARN_PRODUCTION);
        }
        vars
    }

    /// Heroku's config vars for builds that need no devDependencies. Slugs never have node_modules: what the app
    /// imports is in its bundle, whatever list it is in.
    fn without_dev_dependencies(&self, kind: Kind) -> bool {
        let variable = match kind {
            Kind::Npm | Kind::Pnpm => "NPM_CONFIG_PRODUCTION",
            Kind::YarnClassic | Kind::Yarn => YARN_PRODUCTION,
        };
        self.build.env.get(variable).is_some_and(|value| value == "true")
    }

    /// Runs a script of `package.json` if there is one.
    async fn script(&self, name: &str) -> Result<bool, Error> {
        if !self.package.scripts.contains_key(name) {
            return Ok(false);
        }
        self.build.output.step("Build");
        self.build.output.detail(&format!("Running {name}"));
        let command = self.tool.script(self.node, self.build.dir, name);
        // As on Heroku; a config var may say otherwise.
        let command = command.env("NODE_ENV", "production").config_vars(&self.config_vars());
        self.build.steps.time(name, self.run(command)).await?;
        Ok(true)
    }

    async fn build(
        &self,
        stack: &Installed,
        launches: Vec<(String, String, Launch)>,
    ) -> Result<BTreeMap<String, ProcessType>, Error> {
        // Heroku runs the one in place of the other.
        if !self.script("heroku-postbuild").await? {
            self.script("build").await?;
        }
        self.build.output.step("Bundling");
        let bundles = self.build.dir.join(BUNDLES);
        files::fresh_dir(&bundles)?;
        let mut processes = BTreeMap::new();
        // What `node FILE` runs in a one-off dyno: the file as it is found, and its bundle.
        let mut entries = BTreeMap::new();
        for (process, command, launch) in launches {
            let entry = launch.entry(self.build.dir, &process, &command)?;
            let file = format!("/app/{entry}");
            let found = entries.get(&file).cloned();
            let bundle = match found {
                Some(bundle) => bundle,
                None => self.bundle(stack, &process, &entry).await?,
            };
            entries.insert(file.clone(), bundle.clone());
            let mut args = vec![bundle, "node".into(), file];
            args.extend(launch.args);
            let world = self.build.settings.world_of(&process);
            let component = ComponentRef::Stack;
            processes.insert(process, ProcessType::new(command, component, world, args));
        }
        for (script, entry) in self.scripts() {
            if let Entry::Vacant(place) = entries.entry(format!("/app/{entry}")) {
                place.insert(self.bundle(stack, &format!("script.{script}"), &entry).await?);
            }
        }
        if stack.worlds.contains(&World::Cli) {
            let list =
                serde_json::to_vec(&entries).map_err(|error| Error::Internal(error.to_string()))?;
            let file = bundles.join("entries.json");
            fs::write(&file, list).map_err(io_at(&file))?;
        }
        self.script("heroku-cleanup").await?;
        Ok(processes)
    }

    /// Bundles the app from its file `entry`, and returns where a dyno finds the bundle.
    async fn bundle(&self, stack: &Installed, name: &str, entry: &str) -> Result<String, Error> {
        let name = format!(
            "{}.cjs",
            name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '.', "_")
        );
        let bundle = self.build.dir.join(BUNDLES).join(&name);
        let run = self
            .node
            .node(&stack.dir, format!("bundling {entry}"))
            .dir_read_only()
            .writable(self.build.dir)
            .arg("bundle.mjs")
            .arg("--app")
            .arg(self.build.dir)
            .args(["--entry", entry])
            .arg("--out")
            .arg(&bundle);
        self.build.steps.time("bundle", self.run(run)).await?;
        let size = bundle.metadata().map_err(io_at(&bundle))?.len();
        let shown = name.trim_end_matches(".cjs");
        self.build.output.detail(&format!("{shown}: {entry} ({} KB)", size.div_ceil(1024)));
        Ok(format!("/app/{BUNDLES}/{name}"))
    }

    /// The scripts of package.json that are a plain `node FILE`, for one-off dynos: name and file. Those that belong
    /// to the build or to development would only cost time, and may need what cannot be bundled.
    fn scripts(&self) -> Vec<(String, String)> {
        let is_for_builds = |name: &str| {
            let parts =
                ["build", "test", "lint", "dev", "watch", "heroku", "pre", "post", "install"];
            name.split([':', '-', '_']).any(|word| parts.iter().any(|part| word.starts_with(part)))
        };
        let mut found = Vec::new();
        for (name, text) in &self.package.scripts {
            if is_for_builds(name) || found.len() == MAX_SCRIPTS {
                continue;
            }
            let launch = command::launch(self.build.dir, self.package, name, text);
            if let Ok(entry) = launch.and_then(|launch| launch.entry(self.build.dir, name, text)) {
                found.push((name.clone(), entry));
            }
        }
        found
    }

    async fn run(&self, command: crate::sandbox::Command) -> Result<(), Error> {
        let Build { tools, workspace, deadline, output, .. } = *self.build;
        tools.sandbox.run(command, workspace, deadline, output).await
    }
}
