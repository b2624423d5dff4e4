//! Makes the slug: which files of the built tree become files of `/app`, and what the store must be given.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use wpaas_slug::{
    ComponentRef, Digest, FileEntry, Limits, ProcessType, Slug, SlugConfig, Store, path,
    store::{self, Written},
};

use crate::{Error, error::io_at, files::blocking, source::always_out};

/// Where the bundles of our buildpacks are put; the only thing below `.wpaas` that a slug holds.
pub(crate) const BUNDLES: &str = ".wpaas";

/// What a slug is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    /// `Node.js`
    pub(crate) buildpack: String,
    pub(crate) stack: Option<String>,
    pub(crate) processes: BTreeMap<String, ProcessType>,
    pub(crate) programs: BTreeMap<String, ComponentRef>,
    /// The built tree.
    pub(crate) tree: PathBuf,
    /// Files that are not for `/app`, by their path in the tree.
    pub(crate) leave_out: fn(&str) -> bool,
    /// Further files to leave out: the components that the process types run.
    pub(crate) components: HashMap<Digest, Bytes>,
    pub(crate) component_files: Vec<String>,
}

/// A slug and where its blobs are.
#[derive(Debug)]
pub(crate) struct Assembled {
    pub(crate) slug: Slug,
    blobs: HashMap<Digest, Blob>,
}

#[derive(Debug, Clone)]
enum Blob {
    File(Arc<Path>),
    Bytes(Bytes),
}

/// Reads the built tree and writes the slug's documents.
pub(crate) async fn assemble(parts: Parts, limits: Limits) -> Result<Assembled, Error> {
    blocking(move || {
        let mut blobs = HashMap::new();
        let mut files = Vec::new();
        let keep = |name: &str| {
            !(parts.leave_out)(name) && !parts.component_files.iter().any(|file| file == name)
        };
        for (name, full) in tree_files(&parts.tree, &limits)? {
            if !keep(&name) {
                continue;
            }
            let entry = entry(name, &full)?;
            blobs.entry(entry.digest).or_insert_with(|| Blob::File(full.into()));
            files.push(entry);
        }
        let components = parts.components.into_iter();
        blobs.extend(components.map(|(digest, bytes)| (digest, Blob::Bytes(bytes))));
        let config = SlugConfig {
            buildpack: parts.buildpack,
            stack: parts.stack,
            processes: parts.processes,
            programs: parts.programs,
            files,
        };
        Ok(Assembled { slug: Slug::new(config, &limits)?, blobs })
    })
    .await
}

impl Assembled {
    /// Writes the slug to the store.
    pub(crate) async fn put(&self, store: &Store) -> Result<Written, Error> {
        let source = |digest| async move {
            match self.blobs.get(&digest) {
                Some(Blob::Bytes(bytes)) => Ok(bytes.clone()),
                Some(Blob::File(path)) => match tokio::fs::read(path).await {
                    Ok(bytes) => Ok(bytes.into()),
                    Err(error) => Err(store::Error::File(path.display().to_string(), error)),
                },
                None => Err(store::Error::NotFound(digest)),
            }
        };
        Ok(store.put_slug(&self.slug, source).await?)
    }
}

/// The files of the built tree by their path in it. What the build made is there whatever `.gitignore` says;
/// links are followed, as a slug has none, and must stay in the tree.
pub(crate) fn tree_files(root: &Path, limits: &Limits) -> Result<Vec<(String, PathBuf)>, Error> {
    let root = root.canonicalize().map_err(io_at(root))?;
    let mut files = Vec::new();
    let walk = walkdir::WalkDir::new(&root).min_depth(1).follow_links(true);
    let walk = walk.into_iter().filter_entry(|entry| {
        let parent = entry.path().parent().unwrap_or(&root);
        let name = entry.file_name().to_string_lossy();
        (entry.depth() == 1 && name == BUNDLES) || !always_out(parent, &name)
    });
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            // A link that leads nowhere, or round in circles, would be of no use to the app either.
            Err(error) if error.path().is_some_and(Path::is_symlink) => continue,
            Err(error) => return Err(io_at(&root)(error.into())),
        };
        if !entry.file_type().is_file() {
            continue;
        }
        let full = entry.into_path();
        let relative =
            full.strip_prefix(&root).map_err(|error| Error::Internal(error.to_string()))?;
        let refused =
            |reason: String| Error::Source { path: relative.display().to_string(), reason };
        let name = path::check_os(relative).map_err(|error| refused(error.to_string()))?.to_owned();
        let real = full.canonicalize().map_err(io_at(&full))?;
        if !real.starts_with(&root) {
            return Err(refused("a symbolic link that leads out of the app's directory".into()));
        }
        files.push((name, full));
        if files.len() as u64 > limits.source_files {
            return Err(Error::SourceTooLarge { what: "files", limit: limits.source_files });
        }
    }
    Ok(files)
}

fn entry(path: String, full: &Path) -> Result<FileEntry, Error> {
    use std::os::unix::fs::PermissionsExt;
    let file = File::open(full).map_err(io_at(full))?;
    let mode = file.metadata().map_err(io_at(full))?.permissions().mode();
    let (digest, size) = Digest::of_reader(file).map_err(io_at(full))?;
    Ok(FileEntry { path, digest, size, executable: mode & 0o111 != 0 })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;
    use crate::Kind;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    fn parts(tree: &Path) -> Parts {
        Parts {
            buildpack: "Test".into(),
            stack: None,
            processes: BTreeMap::new(),
            programs: BTreeMap::new(),
            tree: tree.to_owned(),
            leave_out: |name| name.ends_with(".rs"),
            components: HashMap::new(),
            component_files: vec!["app.wasm".into()],
        }
    }

    #[tokio::test]
    async fn holds_what_the_app_needs_and_nothing_else() {
        let root = tree(&[
            (".gitignore", "dist\n"),
            (".env", "SECRET"),
            (".wpaas/web.cjs", "bundle"),
            ("app.wasm", "component"),
            ("dist/built.js", "built"),
            ("node_modules/a/index.js", "x"),
            ("public/style.css", "css"),
            ("src/main.rs", "source"),
        ]);
        symlink("style.css", root.path().join("public/link.css")).unwrap();
        symlink("nowhere", root.path().join("dangling")).unwrap();
        let store_dir = tempfile::tempdir().unwrap();
        let store = Store::local(store_dir.path()).unwrap();

        let assembled = assemble(parts(root.path()), Limits::default()).await.unwrap();
        let names: Vec<&str> =
            assembled.slug.config.files.iter().map(|file| file.path.as_str()).collect();
        let expected = [
            ".gitignore",
            ".wpaas/web.cjs",
            "dist/built.js",
            "public/link.css",
            "public/style.css",
        ];
        assert_eq!(names, expected);

        let first = assembled.put(&store).await.unwrap();
        assert_eq!(first.new_blobs, 4 + 2, "four contents and two documents");
        let again = assemble(parts(root.path()), Limits::default()).await.unwrap();
        assert_eq!(again.slug.digest, assembled.slug.digest);
        assert_eq!(again.put(&store).await.unwrap().new_blobs, 0);
    }

    #[tokio::test]
    async fn links_out_of_the_tree_and_too_much_are_refused() {
        let root = tree(&[("a", "123"), ("b", "456")]);
        let few = Limits { source_files: 1, ..Limits::default() };
        let error = assemble(parts(root.path()), few).await.unwrap_err();
        assert_eq!(error.kind(), Kind::SourceTooLarge);
        let small = Limits { slug_bytes: 5, ..Limits::default() };
        let error = assemble(parts(root.path()), small).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Slug);

        let outside = tree(&[("secret", "x")]);
        symlink(outside.path().join("secret"), root.path().join("out")).unwrap();
        let error = assemble(parts(root.path()), Limits::default()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Source);
        assert!(error.to_string().starts_with("out: "), "{error}");
    }
}
