//! What a buildpack's `export` script leaves for the programs of the buildpacks after it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::environment::is_for_builds;

/// Stands between the two environments that [`SCRIPT`] prints. It holds no `=`, so it is no variable.
const BETWEEN: &str = "\n";
/// Prints the environment, sources the script that is its argument, prints the environment again.
pub(crate) const SCRIPT: &str = r#"env -0; printf '\n\0'; . "$0" 1>&2; env -0"#;
/// What a shell itself changes.
const SHELLS_OWN: [&str; 4] = ["PWD", "OLDPWD", "SHLVL", "_"];

/// Variables and directories for programs of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Exports {
    pub(super) vars: BTreeMap<String, String>,
    /// What goes before `PATH`.
    pub(super) path: Vec<PathBuf>,
    /// The buildpacks that said so, which their variables may point into.
    pub(super) readable: Vec<PathBuf>,
}

impl Exports {
    /// What `printed`, the output of [`SCRIPT`], says for the buildpack in `dir`. Variables that would change which
    /// programs the platform itself runs are left out, `PATH` but for what was put before it.
    pub(crate) fn parse(printed: &[u8], dir: &Path) -> Self {
        let text = String::from_utf8_lossy(printed);
        let mut parts = text.split('\0');
        let variables = |parts: &mut dyn Iterator<Item = &str>| -> BTreeMap<String, String> {
            let split = parts.filter_map(|part| part.split_once('='));
            split.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        let before = variables(&mut parts.by_ref().take_while(|part| *part != BETWEEN));
        let mut after = variables(&mut parts);
        after.retain(|name, value| before.get(name) != Some(value));
        let old = before.get("PATH").map_or("", String::as_str);
        let path = after.get("PATH").and_then(|path| path.strip_suffix(old)).unwrap_or_default();
        let path = std::env::split_paths(path).filter(|dir| dir.is_absolute()).collect();
        let plain = |name: &str| {
            name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && is_for_builds(name)
                && !SHELLS_OWN.contains(&name)
        };
        after.retain(|name, _| plain(name));
        Self { vars: after, path, readable: vec![dir.to_owned()] }
    }

    /// Adds what a later buildpack says, which goes first.
    pub(super) fn extend(&mut self, later: Self) {
        self.vars.extend(later.vars);
        self.path.splice(0..0, later.path);
        self.readable.extend(later.readable);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_counts_and_nothing_that_takes_over() {
        let printed = b"A=1\0PATH=/usr/bin:/bin\0SHLVL=1\0\n\0A=1\0B=two\nlines\0SHLVL=2\0PATH=/b/bin:relative:/usr/bin:/bin\0\
                        LD_PRELOAD=/x\0LD_AUDIT=/x\0BASH_FUNC_f%%=() { id; }\0HOME=/x\0";
        let mut exports = Exports::parse(printed, Path::new("/pack"));
        let expected = Exports {
            vars: BTreeMap::from([("B".into(), "two\nlines".into())]),
            path: vec!["/b/bin".into()],
            readable: vec!["/pack".into()],
        };
        assert_eq!(exports, expected);
        let later = b"PATH=/b/bin\0\n\0PATH=/c/bin:/b/bin\0B=three\0";
        exports.extend(Exports::parse(later, Path::new("/later")));
        assert_eq!(exports.path, [PathBuf::from("/c/bin"), "/b/bin".into()]);
        assert_eq!(exports.vars["B"], "three");
        // A script that failed half-way, or printed nonsense.
        let none = Exports { readable: vec!["/pack".into()], ..Exports::default() };
        assert_eq!(Exports::parse(b"A=1\0", Path::new("/pack")), none);
        assert_eq!(Exports::parse(b"\xff\0\n\0=\0x", Path::new("/pack")), none);
    }
}
