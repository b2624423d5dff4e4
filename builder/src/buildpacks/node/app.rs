//! One Node.js app being built: its dependencies, its own scripts, its bundles.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs,
};

use wpaas_slug::{ComponentRef, ProcessType, World};

use super::{
    super::{Build, kept::Kept},
    command::{self, Launch},
    manager::{Choice, Kind, Tool},
    package_json::{self, PackageJson},
};
use crate::{
    Error,
    error::io_at,
    files,
    slug::BUNDLES,
    toolchain::{node::Node, stack::Installed},
};

/// Scripts of package.json that are bundled for one-off dynos, at most.
const MAX_SCRIPTS: usize = 8;
const YARN_PRODUCTION: &str = "YARN_PRODUCTION";

/// One app being built.
pub(super) struct App<'a> {
    pub(super) build: &'a Build<'a>,
    pub(super) node: &'a Node,
    pub(super) package: &'a PackageJson,
    pub(super) tool: Tool,
}

impl App<'_> {
    /// Makes `node_modules` be what the lockfile says. Returns where to keep it afterwards.
    pub(super) async fn install(&self, choice: Option<Choice>) -> Result<Option<Kept>, Error> {
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
    pub(super) async fn script(&self, name: &str) -> Result<bool, Error> {
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

    pub(super) async fn build_scripts(&self) -> Result<(), Error> {
        // Heroku runs the one in place of the other.
        if !self.script("heroku-postbuild").await? {
            self.script("build").await?;
        }
        Ok(())
    }

    pub(super) async fn build(
        &self,
        stack: &Installed,
        launches: Vec<(String, String, Launch)>,
    ) -> Result<BTreeMap<String, ProcessType>, Error> {
        self.build_scripts().await?;
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
