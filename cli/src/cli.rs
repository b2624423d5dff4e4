//! The command tree.

use std::io;

use clap::{Parser, Subcommand};

use crate::{
    commands::{self, Context},
    compile, dev,
    exit::Interrupted,
    prepare, serve, snapshot,
};

/// Heroku's way of working on WebAssembly dynos
#[derive(Debug, Parser)]
#[command(
    name = "wpaas",
    version,
    propagate_version = false,
    disable_help_subcommand = false,
    after_help = "Examples:
  $ wpaas serve                       start platform and node on this machine
  $ wpaas deploy examples/node-http   deploy a directory
  $ wpaas logs --tail                 watch its log

Exit codes: 0 ok, 1 failed, 2 usage, 3 server not reachable, 4 not authorised."
)]
pub(crate) struct Cli {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Every command; the names are the heroku CLI's.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(Box<serve::Args>),
    Prepare(prepare::Args),
    Dev(dev::Args),
    #[command(hide = true)]
    Compile(compile::Args),
    #[command(hide = true)]
    Snapshot(snapshot::Args),

    Deploy(commands::deploy::Args),
    #[command(alias = "apps:create")]
    Create(commands::apps::CreateArgs),
    #[command(alias = "apps:list", alias = "list")]
    Apps(commands::apps::ListArgs),
    #[command(alias = "apps:info")]
    Info(commands::apps::InfoArgs),
    #[command(alias = "apps:destroy", alias = "apps:delete")]
    Destroy(commands::apps::DestroyArgs),
    #[command(alias = "apps:open")]
    Open(commands::open::Args),

    Config(commands::config::ListArgs),
    #[command(name = "config:get")]
    ConfigGet(commands::config::GetArgs),
    #[command(name = "config:set", alias = "config:add")]
    ConfigSet(commands::config::SetArgs),
    #[command(name = "config:unset", alias = "config:remove")]
    ConfigUnset(commands::config::UnsetArgs),

    Egress(commands::egress::ListArgs),
    #[command(name = "egress:allow", alias = "egress:add")]
    EgressAllow(commands::egress::AllowArgs),
    #[command(name = "egress:deny", alias = "egress:remove")]
    EgressDeny(commands::egress::DenyArgs),

    Releases(commands::releases::ListArgs),
    #[command(name = "releases:info")]
    ReleasesInfo(commands::releases::InfoArgs),
    #[command(name = "releases:output")]
    ReleasesOutput(commands::releases::OutputArgs),
    #[command(name = "releases:verify")]
    ReleasesVerify(commands::releases::VerifyArgs),
    #[command(alias = "releases:rollback")]
    Rollback(commands::releases::RollbackArgs),

    Ps(commands::ps::ListArgs),
    #[command(name = "ps:scale", alias = "scale", alias = "dyno:scale")]
    PsScale(commands::ps::ScaleArgs),
    #[command(name = "ps:restart", alias = "restart", alias = "dyno:restart")]
    PsRestart(commands::ps::RestartArgs),

    #[command(name = "ps:stop", alias = "stop", alias = "ps:kill", alias = "dyno:stop")]
    PsStop(commands::ps::StopArgs),
    Run(commands::run::Args),

    Logs(commands::logs::Args),

    Domains(commands::domains::ListArgs),
    #[command(name = "domains:add")]
    DomainsAdd(commands::domains::AddArgs),
    #[command(name = "domains:remove")]
    DomainsRemove(commands::domains::RemoveArgs),

    Drains(commands::drains::ListArgs),
    #[command(name = "drains:add")]
    DrainsAdd(commands::drains::AddArgs),
    #[command(name = "drains:remove")]
    DrainsRemove(commands::drains::RemoveArgs),

    Buildpacks(commands::buildpacks::ListArgs),
    #[command(name = "buildpacks:set")]
    BuildpacksSet(commands::buildpacks::SetArgs),
    #[command(name = "buildpacks:add")]
    BuildpacksAdd(commands::buildpacks::AddArgs),
    #[command(name = "buildpacks:remove")]
    BuildpacksRemove(commands::buildpacks::RemoveArgs),
    #[command(name = "buildpacks:clear")]
    BuildpacksClear(commands::buildpacks::ClearArgs),

    #[command(name = "git:remote")]
    GitRemote(commands::git::RemoteArgs),
    #[command(name = "git:credentials")]
    GitCredentials(commands::git::CredentialsArgs),

    Heroku(commands::heroku::RunArgs),
    #[command(name = "heroku:env")]
    HerokuEnv(commands::heroku::EnvArgs),

    #[command(name = "certs:ca")]
    CertsCa(commands::certs::CaArgs),

    #[command(alias = "auth:login")]
    Login(commands::auth::LoginArgs),
    #[command(alias = "auth:logout")]
    Logout(commands::auth::LogoutArgs),
    #[command(alias = "auth:whoami")]
    Whoami(commands::auth::WhoamiArgs),
    Password(commands::auth::PasswordArgs),

    Version(commands::version::Args),
}

impl Command {
    /// Carries it out, on a runtime of its own where it needs one.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        if let Self::Compile(args) = self {
            return compile::run(&args);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let result = runtime.block_on(Box::pin(self.dispatch()));
        // A thread that still reads a confirmation from the terminal must not keep the process alive.
        runtime.shutdown_background();
        result
    }

    async fn dispatch(self) -> anyhow::Result<()> {
        match self {
            // These end on signals in their own way.
            Self::Serve(args) => Box::pin(serve::run(*args)).await,
            Self::Prepare(args) => Box::pin(prepare::run(args)).await,
            Self::Dev(args) => Box::pin(dev::run(args)).await,
            Self::Snapshot(args) => Box::pin(snapshot::run(args)).await,
            client => {
                tokio::select! {
                    result = Box::pin(client.ask()) => result,
                    signal = tokio::signal::ctrl_c() => Err(interrupted(signal)),
                }
            }
        }
    }

    /// The commands that are clients of a server.
    async fn ask(self) -> anyhow::Result<()> {
        use commands::{
            apps, auth, buildpacks, certs, config, deploy, domains, drains, egress, git, heroku,
            logs, open, ps, releases, run, version,
        };
        match self {
            Self::Serve(_)
            | Self::Prepare(_)
            | Self::Dev(_)
            | Self::Compile(_)
            | Self::Snapshot(_) => Ok(()),
            Self::Deploy(args) => deploy::run(&Context::open(&args.target.server)?, &args).await,
            Self::Create(args) => apps::create(&Context::open(&args.server)?, &args).await,
            Self::Apps(args) => apps::list(&Context::open(&args.server)?, &args).await,
            Self::Info(args) => apps::info(&Context::open(&args.target.server)?, &args).await,
            Self::Destroy(args) => apps::destroy(&Context::open(&args.target.server)?, &args).await,
            Self::Open(args) => open::run(&Context::open(&args.target.server)?, &args).await,
            Self::Config(args) => config::list(&Context::open(&args.target.server)?, &args).await,
            Self::ConfigGet(args) => config::get(&Context::open(&args.target.server)?, &args).await,
            Self::ConfigSet(args) => config::set(&Context::open(&args.target.server)?, &args).await,
            Self::ConfigUnset(args) => {
                config::unset(&Context::open(&args.target.server)?, &args).await
            }
            Self::Egress(args) => egress::list(&Context::open(&args.target.server)?, &args).await,
            Self::EgressAllow(args) => {
                egress::allow(&Context::open(&args.target.server)?, &args).await
            }
            Self::EgressDeny(args) => {
                egress::deny(&Context::open(&args.target.server)?, &args).await
            }
            Self::Releases(args) => {
                releases::list(&Context::open(&args.target.server)?, &args).await
            }
            Self::ReleasesInfo(args) => {
                releases::info(&Context::open(&args.target.server)?, &args).await
            }
            Self::ReleasesOutput(args) => {
                releases::output(&Context::open(&args.target.server)?, &args).await
            }
            Self::ReleasesVerify(args) => {
                releases::verify(&Context::open(&args.target.server)?, &args).await
            }
            Self::Rollback(args) => {
                releases::rollback(&Context::open(&args.target.server)?, &args).await
            }
            Self::Ps(args) => ps::list(&Context::open(&args.target.server)?, &args).await,
            Self::PsScale(args) => ps::scale(&Context::open(&args.target.server)?, &args).await,
            Self::PsRestart(args) => ps::restart(&Context::open(&args.target.server)?, &args).await,
            Self::PsStop(args) => ps::stop(&Context::open(&args.target.server)?, &args).await,
            Self::Run(args) => run::run(&Context::open(&args.target.server)?, &args).await,
            Self::Logs(args) => logs::run(&Context::open(&args.target.server)?, &args).await,
            Self::Domains(args) => domains::list(&Context::open(&args.target.server)?, &args).await,
            Self::DomainsAdd(args) => {
                domains::add(&Context::open(&args.target.server)?, &args).await
            }
            Self::DomainsRemove(args) => {
                domains::remove(&Context::open(&args.target.server)?, &args).await
            }
            Self::Drains(args) => drains::list(&Context::open(&args.target.server)?, &args).await,
            Self::DrainsAdd(args) => drains::add(&Context::open(&args.target.server)?, &args).await,
            Self::DrainsRemove(args) => {
                drains::remove(&Context::open(&args.target.server)?, &args).await
            }
            Self::Buildpacks(args) => {
                buildpacks::list(&Context::open(&args.target.server)?, &args).await
            }
            Self::BuildpacksSet(args) => {
                buildpacks::set(&Context::open(&args.placed.place.target.server)?, &args).await
            }
            Self::BuildpacksAdd(args) => {
                buildpacks::add(&Context::open(&args.placed.place.target.server)?, &args).await
            }
            Self::BuildpacksRemove(args) => {
                buildpacks::remove(&Context::open(&args.place.target.server)?, &args).await
            }
            Self::BuildpacksClear(args) => {
                buildpacks::clear(&Context::open(&args.target.server)?, &args).await
            }
            Self::GitRemote(args) => git::remote(&Context::open(&args.target.server)?, &args).await,
            Self::GitCredentials(args) => git::credentials(&Context::open(&args.server)?, &args),
            Self::Heroku(args) => heroku::run(&Context::open(&args.server)?, &args).await,
            Self::HerokuEnv(args) => heroku::env(&Context::open(&args.server)?, &args).await,
            Self::CertsCa(args) => certs::ca(&Context::open(&args.server)?, &args).await,
            Self::Login(args) => auth::login(&Context::open(&args.server)?, &args).await,
            Self::Logout(args) => auth::logout(&Context::open(&args.server)?).await,
            Self::Whoami(args) => auth::whoami(&Context::open(&args.server)?, &args).await,
            Self::Password(args) => auth::password(&Context::open(&args.server)?, &args).await,
            Self::Version(args) => version::run(&args),
        }
    }
}

fn interrupted(signal: io::Result<()>) -> anyhow::Error {
    match signal {
        Ok(()) => Interrupted.into(),
        Err(error) => anyhow::Error::new(error).context("cannot wait for Ctrl-C"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn refused(line: &str) -> clap::Error {
        Cli::try_parse_from(line.split(' ')).expect_err(line)
    }

    #[test]
    fn the_tree_is_sound_and_every_command_shows_an_example() {
        let tree = Cli::command();
        tree.clone().debug_assert();
        for command in tree.get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name} says what it does");
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("$ wpaas {name}")), "{name}: {help:?}");
        }
    }

    #[test]
    fn herokus_names_and_flags_are_understood() {
        for line in [
            "wpaas create",
            "wpaas apps:create demo",
            "wpaas destroy --confirm demo",
            "wpaas deploy . -a demo --local --json",
            "wpaas config:set A=1 B= C=x=y -a demo",
            "wpaas config:unset A B",
            "wpaas egress --json",
            "wpaas egress:allow api.example.com:443 *.example.org:* -a demo",
            "wpaas egress:allow db.example.com:5432 --pgtls --ca ca.pem",
            "wpaas egress:deny [2a00:1450::5]:6379",
            "wpaas releases -n 5 --json",
            "wpaas releases:info v3",
            "wpaas rollback",
            "wpaas rollback 3 --app demo",
            "wpaas ps:scale web=0..20 worker+1",
            "wpaas ps:restart web.1",
            "wpaas ps:stop run.1234",
            "wpaas run -x -a demo node script.js --flag",
            "wpaas run -d --env A=1 -- python x.py",
            "wpaas releases:output v3 -a demo",
            "wpaas logs -t -n 100 --source app --dyno web.1",
            "wpaas logs -d web.1",
            "wpaas domains:add www.example.org",
            "wpaas buildpacks:set heroku/nodejs -i 2 -a demo",
            "wpaas buildpacks:add https://example.org/b.git#v1",
            "wpaas buildpacks:remove -i 1",
            "wpaas git:remote -a demo -r staging",
            "wpaas certs:ca --pem",
            "wpaas heroku apps --json",
            "wpaas heroku --api https://localhost:5443 --ca ca.pem -- run -x -a demo ls",
            "wpaas heroku:env --json",
            "wpaas apps --api http://127.0.0.1:5081",
        ] {
            Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn nonsense_is_a_usage_error_before_anything_is_asked() {
        for line in [
            "wpaas",
            "wpaas frobnicate",
            "wpaas config:set",
            "wpaas config:get",
            "wpaas egress:allow",
            "wpaas egress:allow db.example.com",
            "wpaas egress:allow db.example.com:0",
            "wpaas egress:allow https://api.example.com:443",
            "wpaas egress:allow db:5432 --tls --pgtls",
            "wpaas egress:deny a",
            "wpaas releases:info latest",
            "wpaas rollback v0",
            "wpaas releases -n 0",
            "wpaas ps:stop",
            "wpaas buildpacks:remove",
            "wpaas buildpacks:add a --index 0",
            "wpaas run --env A x",
            "wpaas ps:scale web",
            "wpaas serve --https 127.0.0.1:8443",
            "wpaas serve --https 127.0.0.1:8443 --tls-cert c.pem",
            "wpaas serve --tls-cert c.pem --tls-key k.pem",
            "wpaas serve --api-https localhost",
            "wpaas serve --api-tls-cert c.pem",
            "wpaas ps:scale web=5..2",
            "wpaas logs -n 1501",
            "wpaas logs --source router",
            "wpaas info -a ..",
        ] {
            assert_eq!(refused(line).exit_code(), 2, "{line}");
        }
    }
}
