//! What programs of a build see in their environment: what they need to work on this host, and no more.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use super::{Command, Workspace};

/// Variables about the network's proxies and certificates, which every program may know.
const NETWORK: &[&str] = &[
    "ALL_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NIX_SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
];

/// Prefixes of variables that say where packages come from, for programs that install them.
/// Not all of `CARGO_*`: cargo sets many for what runs under it, which our own process may.
const REGISTRY: &[&str] = &[
    "NPM_CONFIG_",
    "YARN_NPM_",
    "PIP_",
    "UV_",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "CARGO_SOURCE_",
];

/// Config vars that builds do not get, by the list of Heroku's Node.js buildpack and some of our own: they
/// are meant for the app, and would change which programs run or what those load.
const NOT_FOR_BUILDS: &[&str] = &[
    "PATH",
    "HOME",
    "TMPDIR",
    "GIT_DIR",
    "CPATH",
    "CPPATH",
    "LIBRARY_PATH",
    "JAVA_OPTS",
    "JAVA_TOOL_OPTIONS",
    "NODE_OPTIONS",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "BUILDPACK_URL",
];

/// What the system's loader and shell act on before a program begins, the sandbox's own program included.
const LOADERS: [&str; 5] = ["LD_", "GLIBC_", "GCONV_PATH", "LOCPATH", "BASH_"];

/// Whether a config var of the app is passed to the programs of its build.
pub(super) fn is_for_builds(name: &str) -> bool {
    let odd = name.is_empty() || name.contains(['=', '\0']);
    let toolchain = ["CARGO", "RUSTC", "RUSTUP", "RUSTFLAGS"];
    let prefixes = toolchain.iter().chain(&LOADERS);
    !odd && !prefixes.into_iter().any(|prefix| name.starts_with(prefix))
        && !NOT_FOR_BUILDS.contains(&name)
}

/// The part of the host's environment that builds may depend on, read once.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    vars: BTreeMap<OsString, OsString>,
}

impl Host {
    /// This process's environment.
    pub(crate) fn of_this_process() -> Self {
        Self { vars: std::env::vars_os().collect() }
    }

    #[cfg(test)]
    pub(crate) fn with(vars: impl IntoIterator<Item = (&'static str, OsString)>) -> Self {
        Self { vars: vars.into_iter().map(|(name, value)| (name.into(), value)).collect() }
    }

    pub(crate) fn var(&self, name: &str) -> Option<&OsStr> {
        self.vars.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// The user's home, unless it is no directory of its own.
    pub(crate) fn home(&self) -> Option<&Path> {
        let home = Path::new(self.var("HOME")?);
        (home.is_absolute() && home.parent().is_some() && home.is_dir()).then_some(home)
    }

    /// The directories of `PATH`.
    pub(crate) fn path(&self) -> Vec<PathBuf> {
        let path = self.var("PATH").unwrap_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"));
        std::env::split_paths(path).filter(|dir| dir.is_absolute()).collect()
    }

    /// The first program of that name on `PATH`.
    pub(crate) fn find(&self, program: &str) -> Option<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        self.path().into_iter().map(|dir| dir.join(program)).find(|file| {
            file.metadata()
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        })
    }

    /// The user's `.npmrc`, wherever it is.
    pub(super) fn npmrc(&self) -> Option<PathBuf> {
        let named = ["npm_config_userconfig", "NPM_CONFIG_USERCONFIG"]
            .iter()
            .find_map(|name| self.var(name))
            .map(PathBuf::from);
        let file = named.or_else(|| Some(self.home()?.join(".npmrc")))?;
        file.is_file().then_some(file)
    }

    /// Files and directories that the passed-on variables name.
    pub(super) fn certificates(&self) -> impl Iterator<Item = PathBuf> {
        let paths = NETWORK.iter().filter(|name| !name.ends_with("PROXY"));
        paths.filter_map(|name| self.var(name)).map(PathBuf::from).filter(|path| path.is_absolute())
    }

    /// The whole environment of `command`.
    pub(super) fn environment(
        &self,
        command: &Command,
        workspace: &Workspace,
    ) -> BTreeMap<OsString, OsString> {
        let mut env: BTreeMap<OsString, OsString> = self
            .vars
            .iter()
            .filter(|(name, _)| {
                let name = name.to_string_lossy().to_ascii_uppercase();
                let registry = || REGISTRY.iter().any(|prefix| name.starts_with(prefix));
                NETWORK.contains(&name.as_str()) || (command.registry && registry())
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if command.registry
            && let Some(npmrc) = self.npmrc()
        {
            env.insert("npm_config_userconfig".into(), npmrc.into());
        }
        // Not where the registry's settings are: an `export` script is the app's code.
        let exports = (!command.registry).then_some(&workspace.exports);
        let vars = exports.iter().flat_map(|exports| &exports.vars);
        env.extend(vars.map(|(name, value)| (name.into(), value.into())));
        env.extend(command.env.iter().map(|(name, value)| (name.clone(), value.clone())));
        // Last, so that nothing above can replace them.
        let exported = exports.iter().flat_map(|exports| &exports.path);
        let path = command.path_first.iter().chain(exported).cloned().chain(self.path());
        // A directory with a `:` in its name cannot be in a PATH; the host's alone will do.
        let path = std::env::join_paths(path)
            .unwrap_or_else(|_| self.var("PATH").unwrap_or_default().to_owned());
        env.insert("PATH".into(), path);
        env.insert("HOME".into(), workspace.home.clone().into());
        env.insert("TMPDIR".into(), workspace.tmp.clone().into());
        for (name, value) in [("LANG", "C.UTF-8"), ("NO_COLOR", "1"), ("TERM", "dumb")] {
            env.entry(name.into()).or_insert_with(|| value.into());
        }
        env
    }
}

#[cfg(test)]
mod tests {
    use super::{super::exports::Exports, *};

    #[test]
    fn the_hosts_environment_is_filtered_and_the_apps_cannot_take_over() {
        let host = Host::with([
            ("PATH", "/usr/bin:relative:/bin".into()),
            ("HOME", "/nonexistent/home".into()),
            ("AWS_SECRET_ACCESS_KEY", "s3cret".into()),
            ("WPAAS_API_KEY", "s3cret".into()),
            ("CARGO_MANIFEST_DIR", "/x".into()),
            ("CARGO_NET_GIT_FETCH_WITH_CLI", "true".into()),
            ("https_proxy", "proxy.example:3128".into()),
            ("npm_config_registry", "r".into()),
        ]);
        let dir = Path::new("/build");
        let workspace = Workspace::at(Path::new("/w"));
        let vars = ["API_TOKEN", "PATH", "NODE_OPTIONS", "LD_AUDIT", "RUSTC_WRAPPER", "HOME"]
            .map(|name| (name.to_owned(), "app".to_owned()));
        let command = Command::new("x", dir, "x").config_vars(&vars.into());
        let names = |env: &BTreeMap<OsString, OsString>| -> Vec<String> {
            env.keys().map(|name| name.to_string_lossy().into_owned()).collect()
        };

        let env = host.environment(&command, &workspace);
        let base =
            ["API_TOKEN", "HOME", "LANG", "NO_COLOR", "PATH", "TERM", "TMPDIR", "https_proxy"];
        assert_eq!(names(&env), base);
        let value = |name: &str| env[OsStr::new(name)].to_string_lossy().into_owned();
        assert_eq!((value("HOME"), value("PATH")), ("/w/home".into(), "/usr/bin:/bin".into()));

        let mut exporting = workspace.clone();
        let printed = b"PATH=/bin\0\n\0PATH=/e/bin:/bin\0EXPORTED=1\0";
        exporting.export(Exports::parse(printed, Path::new("/pack")));
        let exported = host.environment(&command, &exporting);
        assert_eq!(exported[OsStr::new("PATH")], "/e/bin:/usr/bin:/bin");
        assert_eq!(exported[OsStr::new("EXPORTED")], "1");

        let command = command.path_first(Path::new("/n/bin")).uses_registry();
        let env = host.environment(&command, &exporting);
        let mut with_registry: Vec<&str> = base.to_vec();
        with_registry.extend(["CARGO_NET_GIT_FETCH_WITH_CLI", "npm_config_registry"]);
        with_registry.sort_unstable();
        assert_eq!(names(&env), with_registry);
        assert_eq!(env[OsStr::new("PATH")], "/n/bin:/usr/bin:/bin");
    }
}
