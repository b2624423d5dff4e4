//! Node.js apps, unmodified: dependencies by npm, the app's own build scripts, then one bundle a process type,
//! which the shared engine of the stack loads. No Wasm is compiled, which is why this is quick.

mod app;
mod command;
mod manager;
mod modules;
mod package_json;
mod snapshot;

use std::collections::HashMap;

use app::App;
use async_trait::async_trait;
use command::Launch;
use manager::{Choice, Tool};
use package_json::PackageJson;
use wpaas_slug::{ComponentRef, World};

use super::{Build, Buildpack, Commands, Compiled, Tools};
use crate::{
    Error, Output,
    files::blocking,
    sandbox::exports::Exports,
    settings::{Engine, WEB},
    toolchain::{lock::HostTool, node::Node, stack::Installed},
};

/// The stack of Node.js apps.
const STACK: &str = "node-20";
/// The same on the engine that has many requests at once.
const QUICKJS: &str = "node-20-quickjs";
/// The config var that chooses the engine, before `wpaas.toml` does.
const ENGINE: &str = "WPAAS_JS_ENGINE";
/// What a one-off dyno can run on it.
const PROGRAMS: [&str; 2] = ["node", "nodejs"];

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

    fn assists(&self) -> bool {
        true
    }

    /// What its scripts build is for a later buildpack; `node_modules` stays for it too.
    async fn assist(&self, build: &Build<'_>) -> Result<Exports, Error> {
        if !build.dir.join(package_json::FILE).is_file() {
            return Err(PackageJson::error("there is none, and the Node.js buildpack needs it"));
        }
        let HostTool::Node(oldest) = build.tools.lock.stack(STACK)?.host else {
            return Err(Error::Internal(format!("{STACK} is not made by Node.js")));
        };
        let node = build.tools.node(oldest).await?;
        let package = PackageJson::read(build.dir)?;
        let (tool, choice) = package_manager(build, node, &package).await?;
        let name = tool.name(node);
        build.output.detail(&format!("Building with Node.js {} and {name}", node.version));
        let app = App { build, node, package: &package, tool };
        app.script("heroku-prebuild").await?;
        app.install(choice).await?;
        app.build_scripts().await?;
        app.script("heroku-cleanup").await?;
        Ok(Exports::default())
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
        let (tool, choice) = package_manager(build, node, &package).await?;
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

/// What installs the app's dependencies, if it has any, and runs its scripts.
async fn package_manager(
    build: &Build<'_>,
    node: &Node,
    package: &PackageJson,
) -> Result<(Tool, Option<Choice>), Error> {
    if !package.has_dependencies() {
        return Ok((Tool::npm(), None));
    }
    let choice = manager::choose(build.dir, package)?;
    Ok((choice.ensure(build, node).await?, Some(choice)))
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
