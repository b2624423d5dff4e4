//! The host's Rust: rustup's toolchain with the target that makes components, or Debian's packages.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Error,
    error::io_at,
    sandbox::{Command, Host},
    toolchain::{ask, lock::RustLock},
};

/// Where Debian's packages put the WASI libc.
const WASI_LIBC: &str = "/usr/lib/wasm32-wasi";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

/// A way to compile Rust to Wasm.
#[derive(Debug, Clone)]
pub(crate) struct Cargo {
    kind: Kind,
    target: String,
    home: PathBuf,
    pub(crate) version: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// `SYSROOT/bin/{cargo,rustc}`, past rustup's wrappers: they need the user's home and would fetch whatever
    /// toolchain an app's `rust-toolchain.toml` asks for.
    Sysroot(PathBuf),
    Debian,
}

/// What a crate is built as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Artifact {
    /// A program with `main`.
    Command,
    /// A library (`cdylib`) that exports its world.
    Reactor,
}

impl Cargo {
    /// Looks for a toolchain on this machine.
    pub(crate) async fn find(host: &Host, lock: &RustLock) -> Result<Self, Error> {
        let home = host.var("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(host.home()?.join(".cargo"))).ok_or_else(|| {
            Error::Toolchain("neither CARGO_HOME nor HOME names a directory for cargo".into())
        })?;
        if let Some(rustc) = host.find("rustc")
            && let Ok(sysroot) = ask(&rustc, ["--print", "sysroot"]).await
        {
            let sysroot = PathBuf::from(sysroot);
            let standard_library = sysroot.join("lib/rustlib").join(&lock.target).join("lib");
            if standard_library.is_dir() && sysroot.join("bin/cargo").is_file() {
                let version = ask(&sysroot.join("bin/rustc"), ["--version"]).await?;
                let kind = Kind::Sysroot(sysroot);
                return Ok(Self { kind, target: lock.target.clone(), home, version });
            }
        }
        let parts = [DEBIAN_RUSTC, DEBIAN_CARGO, "/usr/bin/wasm-ld", WASI_LIBC].map(Path::new);
        if parts.iter().all(|path| path.exists())
            && let Ok(sysroot) = ask(Path::new(DEBIAN_RUSTC), ["--print", "sysroot"]).await
            && Path::new(&sysroot).join("lib/rustlib/src/rust/library/std").is_dir()
        {
            let version = ask(Path::new(DEBIAN_RUSTC), ["--version"]).await?;
            let target = lock.debian_target.clone();
            return Ok(Self { kind: Kind::Debian, target, home, version });
        }
        Err(Error::Toolchain(format!(
            "no Rust toolchain for {target} on this machine: run `rustup target add {target}`, or on \
             Debian `apt-get install {packages}`",
            target = lock.target,
            packages = lock.debian_packages.join(" "),
        )))
    }

    /// `cargo ARGS…` in `dir`, for commands that compile. It may not change what the user's other builds use.
    pub(crate) fn cargo(&self, dir: &Path, artifact: Artifact, args: &[&str]) -> Command {
        let mut command = self.base(dir, args);
        command = match &self.kind {
            Kind::Sysroot(_) => command,
            Kind::Debian => command
                .env("RUSTC_BOOTSTRAP", "1")
                .env(self.rustflags_var(), debian_rustflags(artifact)),
        };
        if args.first() == Some(&"build") {
            command = command.args(["--target", &self.target]);
            if self.kind == Kind::Debian {
                command = command.arg("-Zbuild-std=std,panic_abort");
            }
        }
        self.shared(|command, path| command.readable(path), command)
    }

    /// `cargo fetch`: downloads and unpacks dependencies without running any of their code, into the
    /// user's own cache.
    pub(crate) fn fetch(&self, dir: &Path, locked: bool) -> Result<Command, Error> {
        let mut command = self.base(dir, &["fetch"]).args(["--target", &self.target]);
        if locked {
            command = command.arg("--locked");
        }
        if self.kind == Kind::Debian {
            command = command.arg("-Zbuild-std=std,panic_abort").env("RUSTC_BOOTSTRAP", "1");
        }
        let command = self.fetching(command)?;
        // Settings in the tree can name programs that cargo runs here; those shall not read tokens.
        if dir.join(".cargo").exists() {
            return Ok(command);
        }
        let credentials = ["credentials.toml", "credentials"].map(|name| self.home.join(name));
        let credentials = credentials.iter().filter(|path| path.exists());
        Ok(credentials.fold(command, |command, path| command.readable(path)))
    }

    /// Whether it compiles shared libraries for WASI, standard library and all.
    pub(crate) fn makes_libraries(&self) -> bool {
        match &self.kind {
            Kind::Sysroot(sysroot) => sysroot.join("lib/rustlib/src/rust/library/std").is_dir(),
            Kind::Debian => {
                (16..100).any(|lld| Path::new(&format!("/usr/bin/wasm-ld-{lld}")).exists())
            }
        }
    }

    /// `command`, which gets cargo and rustc as `CARGO` and `RUSTC`, and may download dependencies into the user's own
    /// cache. It is for code of ours, not of apps.
    pub(crate) fn lend(&self, command: Command) -> Result<Command, Error> {
        let bin = self.bin();
        let command = command
            .env("CARGO_HOME", &self.home)
            .env("CARGO", bin.join("cargo"))
            .env("RUSTC", bin.join("rustc"));
        let command = match &self.kind {
            Kind::Sysroot(sysroot) => command.readable(sysroot),
            Kind::Debian => command,
        };
        self.fetching(command)
    }

    fn bin(&self) -> PathBuf {
        match &self.kind {
            Kind::Sysroot(sysroot) => sysroot.join("bin"),
            Kind::Debian => PathBuf::from("/usr/bin"),
        }
    }

    /// `command`, which may download dependencies.
    fn fetching(&self, command: Command) -> Result<Command, Error> {
        for name in ["registry", "git"] {
            let path = self.home.join(name);
            fs::create_dir_all(&path).map_err(io_at(&path))?;
        }
        // Cargo locks this file against other cargos; it has to be the same one.
        let lock_file = self.home.join(".package-cache");
        fs::File::options()
            .create(true)
            .append(true)
            .open(&lock_file)
            .map_err(io_at(&lock_file))?;
        let command = self.shared(|command, path| command.writable(path), command);
        Ok(command.writable(&lock_file).uses_registry())
    }

    fn base(&self, dir: &Path, args: &[&str]) -> Command {
        let bin = self.bin();
        let shown = format!("cargo {}", args.join(" "));
        let mut command = Command::new(bin.join("cargo"), dir, shown)
            .args(args)
            .env("CARGO_HOME", &self.home)
            .env("CARGO_TERM_COLOR", "never")
            .env("CARGO_TERM_PROGRESS_WHEN", "never")
            .env("RUSTC", bin.join("rustc"))
            .path_first(&bin);
        if let Kind::Sysroot(sysroot) = &self.kind {
            command = command.readable(sysroot);
        }
        command
    }

    /// Gives access to the user's downloaded packages and settings, but not to tokens and programs.
    fn shared(&self, access: impl Fn(Command, &Path) -> Command, command: Command) -> Command {
        let caches = ["registry", "git"].map(|name| self.home.join(name));
        let command = caches.iter().filter(|path| path.exists()).fold(command, |c, p| access(c, p));
        let settings = ["config.toml", "config"].map(|name| self.home.join(name));
        settings.iter().filter(|path| path.exists()).fold(command, |c, path| c.readable(path))
    }

    fn rustflags_var(&self) -> String {
        let target = self.target.to_ascii_uppercase().replace('-', "_");
        format!("CARGO_TARGET_{target}_RUSTFLAGS")
    }
}

fn debian_rustflags(artifact: Artifact) -> String {
    let start = match artifact {
        Artifact::Command => "crt1-command.o",
        Artifact::Reactor => "crt1-reactor.o",
    };
    format!(
        "-Clink-self-contained=no -Clinker=wasm-ld -L{WASI_LIBC} -Clink-arg={WASI_LIBC}/{start}"
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::toolchain::lock::Lock;

    #[tokio::test]
    async fn a_sysroot_with_the_target_is_preferred() {
        let dir = tempfile::tempdir().unwrap();
        let sysroot = dir.path().join("toolchain");
        let lock = Lock::read().unwrap().rust;
        let library = sysroot.join("lib/rustlib").join(&lock.target).join("lib");
        fs::create_dir_all(&library).unwrap();
        fs::create_dir_all(sysroot.join("bin")).unwrap();
        let script = format!(
            "#!/bin/sh\ncase $1 in --print) echo {} ;; *) echo rustc 1.95.0 ;; esac\n",
            sysroot.display()
        );
        for name in ["rustc", "cargo"] {
            let program = sysroot.join("bin").join(name);
            fs::write(&program, &script).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = sysroot.join("bin").into_os_string();
        let home = dir.path().join("cargo-home").into_os_string();
        let host = Host::with([("PATH", path), ("CARGO_HOME", home)]);
        let cargo = Cargo::find(&host, &lock).await.unwrap();
        assert_eq!(cargo.kind, Kind::Sysroot(sysroot));
        assert_eq!(
            (cargo.target.as_str(), cargo.version.as_str()),
            ("wasm32-wasip2", "rustc 1.95.0")
        );
    }

    #[tokio::test]
    async fn without_any_the_error_says_what_to_run() {
        let host = Host::with([("PATH", "/nonexistent".into()), ("CARGO_HOME", "/tmp".into())]);
        let lock =
            RustLock { debian_packages: vec!["rustc-web".into()], ..Lock::read().unwrap().rust };
        match Cargo::find(&host, &lock).await {
            Ok(cargo) => assert_eq!(cargo.kind, Kind::Debian, "this machine has Debian's packages"),
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("rustup target add wasm32-wasip2"), "{error}");
                assert!(error.contains("apt-get install rustc-web"), "{error}");
            }
        }
    }
}
