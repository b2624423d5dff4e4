//! The lock file of toolchains, which is part of the binary.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::Error;

const TEXT: &str = include_str!("../../toolchains.lock");

/// `toolchains.lock`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lock {
    pub(crate) stacks: BTreeMap<String, StackLock>,
    pub(crate) rust: RustLock,
    /// Package managers of Node.js apps.
    pub(crate) managers: BTreeMap<String, ManagerLock>,
}

/// A package manager.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ManagerLock {
    /// Its name in npm's registry.
    pub(crate) package: String,
    pub(crate) version: String,
    /// The JavaScript file to run, in the package.
    pub(crate) program: String,
}

/// One stack.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StackLock {
    /// Directory below `builder/stacks`.
    pub(crate) recipe: String,
    /// What of the host installs the stack, and builds apps for it.
    pub(crate) host: HostTool,
    /// The recipe's program that builds the component, for a stack that Node.js makes.
    #[serde(default = "default_program")]
    pub(crate) program: String,
}

fn default_program() -> String {
    "build-stack.mjs".into()
}

/// A program of the host with its oldest accepted version.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HostTool {
    /// Node.js, major version.
    Node(u64),
    /// Python 3, minor version.
    Python(u64),
}

/// The Rust toolchains.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RustLock {
    /// Target of rustup's toolchains.
    pub(crate) target: String,
    /// Target of Debian's toolchain.
    pub(crate) debian_target: String,
    /// Packages that make up Debian's toolchain.
    pub(crate) debian_packages: Vec<String>,
}

impl Lock {
    pub(crate) fn read() -> Result<Self, Error> {
        toml::from_str(TEXT).map_err(|error| Error::Internal(format!("toolchains.lock: {error}")))
    }

    pub(crate) fn stack(&self, name: &str) -> Result<&StackLock, Error> {
        self.stacks.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.stacks.keys().map(String::as_str).collect();
            Error::Toolchain(format!("no such stack: {name}; there are {}", known.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolchain::recipe;

    #[test]
    fn every_stack_has_its_recipe_with_a_lockfile() {
        let lock = Lock::read().unwrap();
        for (name, stack) in &lock.stacks {
            let recipe = recipe::find(&stack.recipe).unwrap();
            let files: &[&str] = match stack.host {
                HostTool::Node(_) => {
                    &["package.json", "package-lock.json", "build-stack.mjs", "bundle.mjs"]
                }
                HostTool::Python(_) => &[
                    "requirements.txt",
                    "host-requirements.txt",
                    "build-stack.sh",
                    "tools/guest.py",
                ],
            };
            for file in files {
                assert!(recipe.has(file), "stack {name}: {file} is missing from its recipe");
            }
        }
        let error = lock.stack("cobol-1").unwrap_err().to_string();
        assert!(error.contains("cobol-1") && error.contains("node-20"), "{error}");
    }
}
