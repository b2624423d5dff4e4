//! What every dyno of a slug starts from: the slug's files under `/app`, and an empty `/tmp`. Built once,
//! shared by all dynos, never changed.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    time::SystemTime,
};

use wpaas_slug::{Digest, FileEntry};

use super::node::Ino;

/// The root of `/app` in every dyno.
pub(super) const APP: Ino = Ino(0);
/// The root of `/tmp` in every dyno.
pub(super) const TMP: Ino = Ino(1);

/// The shared tree. A node's number is its place in the table, some 120 bytes a file all in all.
#[derive(Debug)]
pub(crate) struct Base {
    nodes: Box<[BaseNode]>,
    /// When the tree was built: the age of its directories.
    built: SystemTime,
    /// Where the blobs are.
    blobs: PathBuf,
}

#[derive(Debug)]
pub(super) enum BaseNode {
    Directory(BaseDirectory),
    File(BaseFile),
}

#[derive(Debug)]
pub(super) struct BaseDirectory {
    pub(super) parent: Ino,
    /// Sorted by name.
    entries: Box<[(Box<str>, u32)]>,
}

#[derive(Debug)]
pub(super) struct BaseFile {
    digest: Digest,
    pub(super) size: u64,
    pub(super) modified: SystemTime,
}

impl Base {
    /// The tree of a slug's `files`, whose blobs lie in the directory `blobs`. `modified` has the age of each
    /// blob: of two files with different content the one that came to the node later is the younger, which
    /// is what validators of HTTP caches and of compiled Python need.
    pub(crate) fn new(
        files: &[FileEntry],
        modified: &HashMap<Digest, SystemTime>,
        blobs: &Path,
    ) -> Self {
        let built = SystemTime::now();
        let mut nodes = vec![Draft::directory(APP), Draft::directory(TMP)];
        for file in files {
            let mut directory = 0;
            let (path, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
            for part in path.split('/').filter(|part| !part.is_empty()) {
                directory = child(&mut nodes, directory, part, Draft::directory);
            }
            let modified = modified.get(&file.digest).copied().unwrap_or(built);
            let leaf = BaseFile { digest: file.digest, size: file.size, modified };
            child(&mut nodes, directory, name, |_| Draft::File(leaf));
        }
        let nodes = nodes.into_iter().map(Draft::finish).collect();
        Self { nodes, built, blobs: blobs.to_owned() }
    }

    /// How many nodes there are. Numbers from here on are free for a dyno's own.
    pub(super) fn len(&self) -> u64 {
        self.nodes.len() as u64
    }

    pub(super) fn built(&self) -> SystemTime {
        self.built
    }

    pub(super) fn node(&self, ino: Ino) -> Option<&BaseNode> {
        self.nodes.get(usize::try_from(ino.0).ok()?)
    }

    pub(super) fn directory(&self, ino: Ino) -> Option<&BaseDirectory> {
        match self.node(ino)? {
            BaseNode::Directory(directory) => Some(directory),
            BaseNode::File(_) => None,
        }
    }

    pub(super) fn file(&self, ino: Ino) -> Option<&BaseFile> {
        match self.node(ino)? {
            BaseNode::File(file) => Some(file),
            BaseNode::Directory(_) => None,
        }
    }

    /// Where the content of a file is on the host's disk.
    pub(super) fn blob(&self, ino: Ino) -> Option<PathBuf> {
        Some(self.blobs.join(self.file(ino)?.digest.hex()))
    }
}

impl BaseDirectory {
    pub(super) fn lookup(&self, name: &str) -> Option<Ino> {
        let at = self.entries.binary_search_by(|(entry, _)| (**entry).cmp(name)).ok()?;
        self.entries.get(at).map(|(_, ino)| Ino(u64::from(*ino)))
    }

    /// The entries behind the name `after`, or all, in order.
    pub(super) fn after(&self, after: Option<&str>) -> impl Iterator<Item = (&str, Ino)> {
        let at =
            after.map_or(0, |after| self.entries.partition_point(|(entry, _)| **entry <= *after));
        let rest = self.entries.get(at..).unwrap_or_default();
        rest.iter().map(|(name, ino)| (&**name, Ino(u64::from(*ino))))
    }
}

/// A node while the tree is being built.
enum Draft<'a> {
    Directory(Ino, BTreeMap<&'a str, u32>),
    File(BaseFile),
}

impl Draft<'_> {
    fn directory(parent: Ino) -> Self {
        Self::Directory(parent, BTreeMap::new())
    }

    fn finish(self) -> BaseNode {
        match self {
            Self::File(file) => BaseNode::File(file),
            Self::Directory(parent, entries) => BaseNode::Directory(BaseDirectory {
                parent,
                entries: entries.into_iter().map(|(name, ino)| (name.into(), ino)).collect(),
            }),
        }
    }
}

/// The number of `name` in a directory, made if it is not there. `SlugConfig::validate` has seen to it that
/// no path is both a file and a directory; if one were, its files would be left out.
fn child<'a>(
    nodes: &mut Vec<Draft<'a>>,
    directory: usize,
    name: &'a str,
    make: impl FnOnce(Ino) -> Draft<'a>,
) -> usize {
    let free = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
    let Some(Draft::Directory(_, entries)) = nodes.get_mut(directory) else { return directory };
    let ino = *entries.entry(name).or_insert(free);
    if ino == free {
        nodes.push(make(Ino(directory as u64)));
    }
    ino as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, content: &str) -> FileEntry {
        let digest = Digest::of(content.as_bytes());
        FileEntry { path: path.into(), digest, size: content.len() as u64, executable: false }
    }

    #[test]
    fn builds_a_tree_whose_directories_are_sorted_by_name() {
        // Sorted by path, as in a slug: `a-b` is before `a/x`, though `a` is before `a-b`.
        let files = [entry("a-b", "1"), entry("a/x", "22"), entry("a/y/z", "333"), entry("b", "1")];
        let base = Base::new(&files, &HashMap::new(), Path::new("/blobs"));
        let root = base.directory(APP).unwrap();
        let names: Vec<&str> = root.after(None).map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "a-b", "b"]);
        assert_eq!(root.after(Some("a-")).next().unwrap().0, "a-b");
        assert!(root.after(Some("b")).next().is_none());
        let a = root.lookup("a").unwrap();
        let y = base.directory(a).unwrap().lookup("y").unwrap();
        assert_eq!(
            (base.directory(y).unwrap().parent, base.directory(a).unwrap().parent),
            (a, APP)
        );
        let z = base.directory(y).unwrap().lookup("z").unwrap();
        assert_eq!(base.file(z).unwrap().size, 3);
        assert_eq!(base.blob(z).unwrap(), Path::new("/blobs").join(Digest::of(b"333").hex()));
        assert!(base.directory(TMP).unwrap().after(None).next().is_none());
        assert_eq!(base.len(), 8);
    }
}
