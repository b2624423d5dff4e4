//! The slug's two documents: an OCI image manifest and its config.
//!
//! The manifest's digest is the slug's name. It is the same for the same input: maps and files are sorted,
//! nothing in it tells the time, the machine or who built it. A slug names its stack but does not hold
//! it, so that a fix to the stack reaches every app without a rebuild.

use std::collections::{BTreeMap, BTreeSet};

use oci_spec::image::{
    Descriptor, DescriptorBuilder, ImageManifest, ImageManifestBuilder, MediaType,
};
use serde::{Deserialize, Serialize};

use crate::{Digest, Limits, path};

/// The `artifactType` of the manifest.
pub const ARTIFACT_TYPE: &str = "application/vnd.wpaas.slug.v1+json";
/// The media type of the config document.
pub const CONFIG_TYPE: &str = "application/vnd.wpaas.slug.config.v1+json";
/// The media type of a file's blob.
pub const FILE_TYPE: &str = "application/vnd.wpaas.slug.file.v1";
/// The media type of a component's blob.
pub const COMPONENT_TYPE: &str = "application/wasm";

/// The longest name of a program, in bytes.
const PROGRAM_CHARS: usize = 255;

/// How the host talks to a process type's component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    /// It exports `wasi:http/incoming-handler@0.2`, or `wasi:http/handler@0.3` on nodes that allow it.
    Http,
    /// It exports `wasi:cli/run@0.2`.
    Cli,
    /// It exports `wasi:cli/run@0.2`, and a run of it answers one request as RFC 3875 says.
    Cgi,
}

/// How much of a dyno's state requests share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// An instance serves many requests, as a process does on Heroku.
    #[default]
    Instance,
    /// Each request gets an instance of its own.
    Request,
}

impl Isolation {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Where a process type's component comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComponentRef {
    /// The slug's stack.
    Stack,
    /// A blob of the slug.
    Own {
        /// The component's blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
}

/// One entry of the Procfile, ready to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessType {
    /// The Procfile's text, for `ps`: `npm start`.
    pub command: String,
    /// What runs.
    pub component: ComponentRef,
    /// How the host talks to it.
    pub world: World,
    /// The guest's arguments (`wasi:cli/environment.get-arguments`), meaning defined by the component.
    #[serde(default)]
    pub args: Vec<String>,
    /// How much of a dyno's state requests share.
    #[serde(default, skip_serializing_if = "Isolation::is_default")]
    pub isolation: Isolation,
    /// Requests that one instance may work on at the same time, where its world allows more than one;
    /// `None` leaves it to the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

impl ProcessType {
    /// A process type with the defaults of everything that an app's settings may change.
    pub fn new(
        command: impl Into<String>,
        component: ComponentRef,
        world: World,
        args: Vec<String>,
    ) -> Self {
        let command = command.into();
        Self { command, component, world, args, isolation: Isolation::default(), concurrency: None }
    }
}

/// One file of `/app`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileEntry {
    /// Relative to `/app`, plain ([`path::check`]).
    pub path: String,
    /// The file's blob.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it had an execute bit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

/// The config document: what the runtime needs to run the slug.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlugConfig {
    /// Who built it, as `heroku buildpacks` would say: `Node.js`.
    pub buildpack: String,
    /// The stack that [`ComponentRef::Stack`] means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// Process types by name.
    pub processes: BTreeMap<String, ProcessType>,
    /// What one-off dynos may run beside process types, by the command's first word; the component gets all words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub programs: BTreeMap<String, ComponentRef>,
    /// Files of `/app`, sorted by path.
    pub files: Vec<FileEntry>,
}

/// A slug: its name and its documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slug {
    /// The digest of the manifest document.
    pub digest: Digest,
    /// The manifest document's bytes.
    pub manifest: Vec<u8>,
    /// The config document's bytes.
    pub config_document: Vec<u8>,
    /// The parsed config.
    pub config: SlugConfig,
}

/// Why a slug's documents are refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not the JSON it should be.
    #[error("slug {what} is malformed: {reason}")]
    Malformed {
        /// `manifest` or `config`.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A path would leave `/app`.
    #[error("slug holds a bad path: {0}")]
    Path(#[from] path::Error),
    /// Too big or too many.
    #[error("slug has {actual} {what}, more than the limit of {limit}")]
    Limit {
        /// What was counted, with its unit.
        what: &'static str,
        /// How much there is.
        actual: u64,
        /// How much there may be.
        limit: u64,
    },
}

fn malformed(what: &'static str, reason: impl ToString) -> Error {
    Error::Malformed { what, reason: reason.to_string() }
}

impl SlugConfig {
    /// Every blob of the slug (files and own components) with its size, each once.
    pub fn blobs(&self) -> BTreeMap<Digest, u64> {
        let files = self.files.iter().map(|file| (file.digest, file.size));
        let components = self.components().filter_map(|component| match component {
            ComponentRef::Own { digest, size } => Some((*digest, *size)),
            ComponentRef::Stack => None,
        });
        files.chain(components).collect()
    }

    /// The components of process types and programs.
    fn components(&self) -> impl Iterator<Item = &ComponentRef> {
        self.processes.values().map(|process| &process.component).chain(self.programs.values())
    }

    /// Bytes of all blobs, shared ones counted once: the size that the build prints.
    pub fn size(&self) -> u64 {
        self.blobs().values().fold(0, |sum, size| sum.saturating_add(*size))
    }

    /// Checks everything that an upload could get wrong.
    pub fn validate(&self, limits: &Limits) -> Result<(), Error> {
        let within = |what, actual: u64, limit| {
            if actual > limit { Err(Error::Limit { what, actual, limit }) } else { Ok(()) }
        };
        within("files", self.files.len() as u64, limits.source_files)?;
        within("process types", self.processes.len() as u64, limits.process_types)?;
        within("bytes", self.size(), limits.slug_bytes)?;
        let mut files = BTreeSet::new();
        let mut directories = BTreeSet::new();
        for file in &self.files {
            path::check(&file.path)?;
            if !files.insert(file.path.as_str()) {
                return Err(malformed("config", format!("{} is listed twice", file.path)));
            }
            directories
                .extend(file.path.match_indices('/').filter_map(|(at, _)| file.path.get(..at)));
        }
        within("directories", directories.len() as u64, limits.source_files)?;
        if let Some(both) = files.intersection(&directories).next() {
            return Err(malformed("config", format!("{both} is both a file and a directory")));
        }
        if let Some(name) = self.processes.keys().find(|name| !is_process_type(name)) {
            return Err(malformed("config", format!("{name:?} is not a process type name")));
        }
        within("programs", self.programs.len() as u64, limits.programs)?;
        let is_plain = |name: &String| {
            (1..=PROGRAM_CHARS).contains(&name.len()) && !name.contains(['/', '\0', '\n'])
        };
        if let Some(name) = self.programs.keys().find(|name| !is_plain(name)) {
            return Err(malformed("config", format!("{name:?} is not a program's name")));
        }
        for component in self.components() {
            match component {
                ComponentRef::Stack if self.stack.is_none() => {
                    return Err(malformed("config", "it needs a stack and names none"));
                }
                ComponentRef::Own { size, .. } => {
                    within("bytes in a component", *size, limits.component_bytes)?;
                }
                ComponentRef::Stack => {}
            }
        }
        Ok(())
    }
}

/// Heroku's rule for names of process types: letters, digits, `-` and `_`, at most 30.
pub fn is_process_type(name: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=30).contains(&name.len()) && name.bytes().all(word)
}

impl Slug {
    /// Writes the documents for `config`.
    pub fn new(mut config: SlugConfig, limits: &Limits) -> Result<Self, Error> {
        config.files.sort();
        config.validate(limits)?;
        let config_document =
            serde_json::to_vec(&config).map_err(|error| malformed("config", error))?;
        let layers = layers(&config)?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(2_u32)
            .media_type(MediaType::ImageManifest)
            .artifact_type(MediaType::Other(ARTIFACT_TYPE.into()))
            .config(descriptor(
                CONFIG_TYPE,
                Digest::of(&config_document),
                config_document.len() as u64,
            )?)
            .layers(layers)
            .build()
            .map_err(|error| malformed("manifest", error))?;
        let manifest =
            serde_json::to_vec(&manifest).map_err(|error| malformed("manifest", error))?;
        Ok(Self { digest: Digest::of(&manifest), manifest, config_document, config })
    }

    /// The config's digest that a manifest document names. The first step of reading a slug.
    pub fn config_digest(manifest: &[u8]) -> Result<Digest, Error> {
        let manifest: ImageManifest =
            serde_json::from_slice(manifest).map_err(|error| malformed("manifest", error))?;
        if manifest.config().media_type() != &MediaType::Other(CONFIG_TYPE.into()) {
            return Err(malformed("manifest", "its config is not a wpaas slug config"));
        }
        let digest = manifest.config().digest().to_string();
        digest.parse().map_err(|error| malformed("manifest", error))
    }

    /// Reads both documents, whose digests the caller has verified.
    pub fn parse(
        manifest: Vec<u8>,
        config_document: Vec<u8>,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let config: SlugConfig =
            serde_json::from_slice(&config_document).map_err(|error| malformed("config", error))?;
        let slug = Self::new(config, limits)?;
        // One input, one name: a manifest that we would write differently could hide blobs or list
        // others than the config needs.
        if slug.manifest != manifest || slug.config_document != config_document {
            return Err(malformed("manifest", "it is not in canonical form"));
        }
        Ok(slug)
    }
}

fn layers(config: &SlugConfig) -> Result<Vec<Descriptor>, Error> {
    let components: BTreeSet<Digest> = config
        .components()
        .filter_map(|component| match component {
            ComponentRef::Own { digest, .. } => Some(*digest),
            ComponentRef::Stack => None,
        })
        .collect();
    let media_type = |digest| if components.contains(digest) { COMPONENT_TYPE } else { FILE_TYPE };
    config
        .blobs()
        .iter()
        .map(|(digest, size)| descriptor(media_type(digest), *digest, *size))
        .collect()
}

fn descriptor(media_type: &str, digest: Digest, size: u64) -> Result<Descriptor, Error> {
    let digest: oci_spec::image::Sha256Digest =
        digest.hex().parse().map_err(|error| malformed("manifest", error))?;
    DescriptorBuilder::default()
        .media_type(MediaType::Other(media_type.into()))
        .digest(digest)
        .size(size)
        .build()
        .map_err(|error| malformed("manifest", error))
}

#[cfg(test)]
mod tests;
