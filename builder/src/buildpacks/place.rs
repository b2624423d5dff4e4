//! Where a buildpack comes from: the name or address that users write, understood.

use std::path::{Path, PathBuf};

use url::Url;

/// Names of the buildpacks that wpaas has: Heroku's where Heroku has one.
pub const BUILT_IN: [&str; 4] = ["heroku/nodejs", "heroku/python", "wpaas/rust", "wpaas/component"];

/// Heroku's prefix of names in the place of addresses.
const URN: &str = "urn:buildpack:";
/// Addresses of Heroku's own buildpacks, after `https://`; what they make could not run here.
const OFFICIAL: [(&str, &str); 6] = [
    ("github.com/heroku/heroku-buildpack-nodejs", "heroku/nodejs"),
    ("github.com/heroku/heroku-buildpack-python", "heroku/python"),
    ("buildpack-registry.s3.amazonaws.com/buildpacks/heroku/nodejs", "heroku/nodejs"),
    ("buildpack-registry.s3.amazonaws.com/buildpacks/heroku/python", "heroku/python"),
    ("codon-buildpacks.s3.amazonaws.com/buildpacks/heroku/nodejs", "heroku/nodejs"),
    ("codon-buildpacks.s3.amazonaws.com/buildpacks/heroku/python", "heroku/python"),
];
const ARCHIVES: [&str; 2] = [".tgz", ".tar.gz"];

/// Which directories of this machine may hold buildpacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalBuildpacks {
    /// Any that builds may see: the one who builds is the user of this machine.
    Anywhere,
    /// Those below the operator's directories.
    Below(Vec<PathBuf>),
}

/// A buildpack's origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// One of [`BUILT_IN`].
    BuiltIn(&'static str),
    /// A git repository.
    Git {
        /// Without the reference.
        url: String,
        /// The branch, tag or commit after `#`.
        reference: Option<String>,
        /// Its directory, for a repository of this machine.
        local: Option<PathBuf>,
    },
    /// A gzipped tar on a web server.
    Tarball(String),
    /// A directory or a gzipped tar of this machine.
    Local(PathBuf),
}

impl Place {
    /// Understands what a user wrote. The error says what is possible.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let text = text.strip_prefix(URN).unwrap_or(text);
        if let Some(name) = built_in(text) {
            return Ok(Self::BuiltIn(name));
        }
        if text.starts_with('/') {
            return Ok(Self::Local(text.into()));
        }
        let unknown = || {
            format!(
                "it is no buildpack of wpaas ({}), no https:// or git:// address of a git repository and no \
                 https:// address of a .tgz file",
                BUILT_IN.join(", ")
            )
        };
        let mut url = Url::parse(text).map_err(|_| unknown())?;
        let reference = url.fragment().filter(|text| !text.is_empty()).map(str::to_owned);
        if reference.as_ref().is_some_and(|name| !is_reference(name)) {
            return Err("what follows the # is no name of a branch, a tag or a commit".into());
        }
        url.set_fragment(None);
        let is_archive = ARCHIVES.iter().any(|end| url.path().ends_with(end));
        match url.scheme() {
            "https" if is_archive => Ok(Self::Tarball(url.into())),
            "https" | "git" if url.host_str().is_some_and(|host| !host.is_empty()) => {
                Ok(Self::Git { url: url.into(), reference, local: None })
            }
            "file" => {
                let path = url.to_file_path().map_err(|()| unknown())?;
                if reference.is_none() && !path.to_string_lossy().ends_with(".git") {
                    return Ok(Self::Local(path));
                }
                Ok(Self::Git { url: url.into(), reference, local: Some(path) })
            }
            "http" => Err("it is fetched without TLS: write https://".into()),
            _ => Err(unknown()),
        }
    }

    /// The path on this machine that it needs.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Local(path) => Some(path),
            Self::Git { local, .. } => local.as_deref(),
            Self::BuiltIn(_) | Self::Tarball(_) => None,
        }
    }
}

/// A buildpack's address as it may be printed: without a password.
pub fn shown(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return text.to_owned() };
    if url.username().is_empty() && url.password().is_none() {
        return text.to_owned();
    }
    // It fails for addresses without a host only, which have neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

fn built_in(text: &str) -> Option<&'static str> {
    if let Some(name) = BUILT_IN.into_iter().find(|name| *name == text) {
        return Some(name);
    }
    let address = text.strip_prefix("https://")?;
    let address = address.split('#').next()?.trim_end_matches('/');
    let address =
        [".git", ".tgz"].iter().find_map(|end| address.strip_suffix(end)).unwrap_or(address);
    OFFICIAL.iter().find_map(|(official, name)| (*official == address).then_some(*name))
}

/// Whether git can take it for nothing but a name.
fn is_reference(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./+".contains(c);
    !name.starts_with('-') && !name.contains("..") && name.len() <= 200 && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses() {
        for text in [
            "heroku/nodejs",
            "urn:buildpack:heroku/nodejs",
            "https://github.com/heroku/heroku-buildpack-nodejs",
            "https://github.com/heroku/heroku-buildpack-nodejs.git#v300",
            "https://buildpack-registry.s3.amazonaws.com/buildpacks/heroku/nodejs.tgz",
        ] {
            assert_eq!(Place::parse(text), Ok(Place::BuiltIn("heroku/nodejs")), "{text}");
        }
        let git = |url: &str, reference: Option<&str>, local: Option<&str>| {
            let reference = reference.map(str::to_owned);
            Ok(Place::Git { url: url.into(), reference, local: local.map(PathBuf::from) })
        };
        for (text, place) in [
            ("https://example.org/a/b", git("https://example.org/a/b", None, None)),
            (
                "https://example.org/b.git#v1.2",
                git("https://example.org/b.git", Some("v1.2"), None),
            ),
            ("git://example.org/b", git("git://example.org/b", None, None)),
            ("file:///srv/b.git", git("file:///srv/b.git", None, Some("/srv/b.git"))),
            ("file:///srv/b#main", git("file:///srv/b", Some("main"), Some("/srv/b"))),
            ("file:///srv/b", Ok(Place::Local("/srv/b".into()))),
            ("/srv/b.tgz", Ok(Place::Local("/srv/b.tgz".into()))),
            (
                "https://example.org/b.tgz?x=1",
                Ok(Place::Tarball("https://example.org/b.tgz?x=1".into())),
            ),
        ] {
            assert_eq!(Place::parse(text), place, "{text}");
        }
        for text in [
            "",
            "heroku/php",
            "relative/path",
            "git@example.org:a/b.git",
            "ssh://example.org/b",
            "ext::sh -c id",
            "http://example.org/b.git",
            "https://example.org/b#--upload-pack=id",
            "https://example.org/b#a b",
            "file://host/b",
            "-oProxyCommand=id",
        ] {
            assert!(Place::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let secret = "https://user:s3cret@example.org/b.git#main";
        assert_eq!(shown(secret), "https://example.org/b.git#main");
        assert_eq!(shown("heroku/nodejs"), "heroku/nodejs");
    }
}
