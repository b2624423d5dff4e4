//! The same random operations on a dyno's files and on a directory of the host: same answers, same tree.

use std::{
    ffi::CStr,
    os::{fd::OwnedFd, unix::fs::FileExt},
    path::Path,
};

use rustix::fs::{AtFlags, Mode, OFlags, RawDir};

use super::*;

const OPERATIONS: usize = 4_000;
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// xorshift64*: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn path(&mut self) -> String {
        let mut path = String::new();
        for part in 0..=self.below(3) {
            if part > 0 {
                path.push('/');
            }
            path.push_str(match self.below(14) {
                0 => "..",
                1 => ".",
                n => NAMES[n as usize % NAMES.len()],
            });
        }
        if self.one_in(8) {
            path.push('/');
        }
        path
    }
}

fn host_errno(error: rustix::io::Errno) -> Errno {
    use rustix::io::Errno as Host;
    match error {
        Host::BUSY => Errno::Busy,
        Host::EXIST => Errno::Exist,
        Host::INVAL => Errno::Invalid,
        Host::ISDIR => Errno::IsDirectory,
        Host::LOOP => Errno::Loop,
        Host::NOENT => Errno::NoEntry,
        Host::NOTDIR => Errno::NotDirectory,
        Host::NOTEMPTY => Errno::NotEmpty,
        Host::PERM => Errno::NotPermitted,
        other => panic!("unexpected {other:?}"),
    }
}

/// A file that is open on both sides.
struct Both {
    dyno: Arc<Handle>,
    host: std::fs::File,
}

struct Comparison {
    random: Random,
    app: Arc<Handle>,
    root: OwnedFd,
    open: Vec<Both>,
}

impl Comparison {
    /// One operation. Returns what it was.
    async fn step(&mut self) -> String {
        let random = &mut self.random;
        let (path, other) = (random.path(), random.path());
        let (app, root) = (&self.app, &self.root);
        match random.below(12) {
            0 | 1 => {
                let how = How {
                    follow: random.one_in(2),
                    create: random.one_in(2),
                    exclusive: random.one_in(4),
                    truncate: random.one_in(4),
                    directory: random.one_in(8),
                    write: true,
                };
                self.open(&path, how).await;
                format!("open {path} {how:?}")
            }
            2 => {
                let dyno = app.with(|volume, app| volume.create_directory(app, &path));
                agree(&path, dyno, || rustix::fs::mkdirat(root, &*path, Mode::RWXU));
                format!("mkdir {path}")
            }
            3 => {
                let dyno = app.with(|volume, app| volume.unlink(app, &path));
                agree(&path, dyno, || rustix::fs::unlinkat(root, &*path, AtFlags::empty()));
                format!("unlink {path}")
            }
            4 => {
                // Linux tells apart `.`, `..` and more.
                if !path.trim_end_matches('/').ends_with('.') {
                    let dyno = app.with(|volume, app| volume.remove_directory(app, &path));
                    agree(&path, dyno, || rustix::fs::unlinkat(root, &*path, AtFlags::REMOVEDIR));
                }
                format!("rmdir {path}")
            }
            5 | 6 => {
                let dyno = app.with(|volume, app| volume.rename(app, &path, app, &other));
                agree(&path, dyno, || rustix::fs::renameat(root, &*path, root, &*other));
                format!("rename {path} {other}")
            }
            7 => {
                let follow = random.one_in(2);
                let last = if follow { Last::Follow } else { Last::Stay };
                let flags = if follow { AtFlags::SYMLINK_FOLLOW } else { AtFlags::empty() };
                let dyno = app.with(|volume, app| volume.link(app, &path, last, app, &other));
                agree(&path, dyno, || rustix::fs::linkat(root, &*path, root, &*other, flags));
                format!("link {path} {other}")
            }
            8 => {
                let dyno = app.with(|volume, app| volume.create_symlink(&other, app, &path));
                agree(&path, dyno, || rustix::fs::symlinkat(&*other, root, &*path));
                format!("symlink {other} {path}")
            }
            9 => {
                let dyno = app.with(|volume, app| volume.read_symlink(app, &path));
                let read = || rustix::fs::readlinkat(root, &*path, Vec::new());
                agree(&path, dyno, || read().map(|link| link.into_string().unwrap()));
                format!("readlink {path}")
            }
            _ => {
                self.use_open_file().await;
                "use an open file".to_owned()
            }
        }
    }

    async fn open(&mut self, path: &str, how: How) {
        if how.directory && (how.create || how.exclusive || how.truncate) {
            return;
        }
        let mut flags = OFlags::RDWR | OFlags::CLOEXEC;
        flags.set(OFlags::NOFOLLOW, !how.follow);
        flags.set(OFlags::CREATE, how.create);
        flags.set(OFlags::EXCL, how.create && how.exclusive);
        flags.set(OFlags::TRUNC, how.truncate);
        flags.set(OFlags::DIRECTORY, how.directory);
        let dyno = self.app.open(path, how).await;
        if dyno.as_ref().is_err_and(|error| *error == Errno::NotPermitted) {
            return;
        }
        let mode = Mode::RUSR | Mode::WUSR;
        let host = rustix::fs::openat(&self.root, path, flags, mode).map_err(host_errno);
        match (dyno, host) {
            (Ok(dyno), Ok(host)) => {
                if self.open.len() == 6 {
                    self.open.remove(0);
                }
                self.open.push(Both { dyno, host: host.into() });
            }
            (dyno, host) => assert_eq!(dyno.err(), host.err(), "open {path} {how:?}"),
        }
    }

    async fn use_open_file(&mut self) {
        let random = &mut self.random;
        if self.open.is_empty() {
            return;
        }
        let at = random.below(self.open.len() as u64) as usize;
        let (position, len) = (random.below(20_000), random.below(9_000) as usize);
        let fill = random.below(256) as u8;
        let what = random.below(4);
        let Both { dyno, host } = &self.open[at];
        let size = host.metadata().unwrap().len();
        match what {
            0 => {
                dyno.set_size(position).await.unwrap();
                host.set_len(position).unwrap();
            }
            1 => {
                let end = dyno.write(None, vec![fill; len].into()).await.unwrap();
                host.write_all_at(&vec![fill; len], size).unwrap();
                assert!(len == 0 || end == size + len as u64);
            }
            2 => {
                dyno.write(Some(position), vec![fill; len].into()).await.unwrap();
                host.write_all_at(&vec![fill; len], position).unwrap();
            }
            _ => {}
        }
        let mut content = Vec::new();
        let found = host.metadata().unwrap();
        content.resize(found.len() as usize, 0);
        host.read_exact_at(&mut content, 0).unwrap();
        assert!(read_all(dyno).await == content);
        let stat = dyno.with(|volume, ino| volume.stat(ino)).unwrap();
        let links = std::os::unix::fs::MetadataExt::nlink(&found);
        assert_eq!((stat.size, stat.links), (found.len(), links));
    }

    /// Both trees as text.
    async fn trees(&self) -> (String, String) {
        let mut dyno = String::new();
        let mut directories = vec![(self.app.clone(), String::new())];
        while let Some((directory, path)) = directories.pop() {
            for name in list(&directory).split_whitespace() {
                let plain = name.trim_end_matches(['/', '@']);
                if name.ends_with('/') {
                    let below = directory.open(plain, READ).await.unwrap();
                    directories.push((below, format!("{path}{name}")));
                }
                let content = match directory.with(|volume, ino| volume.read_symlink(ino, plain)) {
                    Ok(target) => target,
                    Err(_) if name.ends_with('/') => String::new(),
                    Err(_) => {
                        let file = directory.open(plain, READ).await.unwrap();
                        Digest::of(&read_all(&file).await).short()
                    }
                };
                dyno.push_str(&format!("{path}{name} {content}\n"));
            }
        }
        let mut host = String::new();
        let root = rustix::fs::openat(&self.root, c".", OFlags::RDONLY, Mode::empty()).unwrap();
        let mut directories = vec![(root, String::new())];
        while let Some((directory, path)) = directories.pop() {
            let mut names = Vec::new();
            let mut buffer = Vec::with_capacity(8192);
            let mut entries = RawDir::new(&directory, buffer.spare_capacity_mut());
            while let Some(entry) = entries.next() {
                let entry = entry.unwrap();
                let name: &CStr = entry.file_name();
                names.push((name.to_str().unwrap().to_owned(), entry.file_type()));
            }
            names.retain(|(name, _)| name != "." && name != "..");
            names.sort_by(|a, b| a.0.cmp(&b.0));
            for (name, file_type) in names {
                let open = || rustix::fs::openat(&directory, &*name, OFlags::RDONLY, Mode::empty());
                let line = if file_type.is_dir() {
                    directories.push((open().unwrap(), format!("{path}{name}/")));
                    format!("{path}{name}/ ")
                } else if file_type.is_symlink() {
                    let link = rustix::fs::readlinkat(&directory, &*name, Vec::new()).unwrap();
                    format!("{path}{name}@ {}", link.to_str().unwrap())
                } else {
                    let file = std::fs::File::from(open().unwrap());
                    format!("{path}{name} {}", Digest::of_reader(file).unwrap().0.short())
                };
                host.push_str(&line);
                host.push('\n');
            }
        }
        (dyno, host)
    }
}

/// Does it on the host too, unless the dyno's walk went outside.
fn agree<T: PartialEq + std::fmt::Debug>(
    path: &str,
    dyno: Result<T, Errno>,
    host: impl FnOnce() -> rustix::io::Result<T>,
) {
    if dyno.as_ref().is_err_and(|error| *error == Errno::NotPermitted) {
        return;
    }
    assert_eq!(dyno, host().map_err(host_errno), "{path}");
}

async fn compare(seed: u64) {
    let files =
        [("a/a", "1"), ("a/b/c", "22"), ("a/b/d", "333"), ("b", "4444"), ("c/d/e", "55555")];
    let world = World::new(&files);
    // Deep enough that nothing above is reached.
    let root = world.directory.path().join("root");
    for (path, content) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let root: &Path = &root;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, flags, Mode::empty()).unwrap();
    let mut comparison =
        Comparison { random: Random(seed), app: world.app(), root, open: Vec::new() };
    let mut done = Vec::new();
    for step in 0..OPERATIONS {
        done.push(comparison.step().await);
        if step % 50 == 0 {
            let (dyno, host) = comparison.trees().await;
            assert!(dyno == host, "{dyno}\n---\n{host}\n{:#?}", &done[step.saturating_sub(50)..]);
        }
    }
    // Everything that was counted is given back.
    comparison.open.clear();
    let app = comparison.app;
    empty(&app).await;
    assert_eq!(app.with(|volume, _| volume.used()), (0, 1 + 3), "three names of the base are gone");
}

/// Removes everything.
async fn empty(directory: &Arc<Handle>) {
    for name in list(directory).split_whitespace() {
        let plain = name.trim_end_matches(['/', '@']);
        if name.ends_with('/') {
            Box::pin(empty(&directory.open(plain, READ).await.unwrap())).await;
            directory.with(|volume, ino| volume.remove_directory(ino, plain)).unwrap();
        } else {
            directory.with(|volume, ino| volume.unlink(ino, plain)).unwrap();
        }
    }
}

#[tokio::test]
async fn one() {
    compare(1).await;
}

#[tokio::test]
async fn two() {
    compare(0x9E37_79B9_7F4A_7C15).await;
}

#[tokio::test]
async fn three() {
    compare(0xDEAD_BEEF).await;
}
