use std::{io::Read, os::unix::fs::symlink};

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

fn names(dir: &Path) -> Vec<String> {
    let files = files(dir, &Limits::default()).unwrap();
    files.iter().map(|path| path.display().to_string()).collect()
}

#[test]
fn ignore_files_and_fixed_names_are_left_out() {
    let root = tree(&[
        (".gitignore", "*.log\n/dist\n!keep.log\n"),
        (".slugignore", "docs/\n"),
        (".env", "SECRET=1"),
        (".env.production", "SECRET=1"),
        (".git/HEAD", "x"),
        (".wpaas/app.json", "x"),
        (".npmrc", "x"),
        ("app/sub/.gitignore", "local\n"),
        ("app/sub/local", "x"),
        ("app/target/index.js", "an app's own folder"),
        ("crate/Cargo.toml", "x"),
        ("crate/target/debug/x", "x"),
        ("debug.log", "x"),
        ("dist/x.js", "x"),
        ("docs/x.md", "x"),
        ("keep.log", "x"),
        ("lib/node_modules/a/index.js", "x"),
        ("node_modules/a/index.js", "x"),
        ("server.js", "x"),
    ]);
    let expected = [
        ".gitignore",
        ".npmrc",
        ".slugignore",
        "app/sub/.gitignore",
        "app/target/index.js",
        "crate/Cargo.toml",
        "keep.log",
        "server.js",
    ];
    assert_eq!(names(root.path()), expected);
}

#[test]
fn a_parents_gitignore_has_no_say() {
    let root = tree(&[(".gitignore", "*\n"), ("app/server.js", "x")]);
    assert_eq!(names(&root.path().join("app")), ["server.js"]);
}

#[test]
fn limits_and_bad_trees_are_refused() {
    let root = tree(&[("a", "12345"), ("b", "12345")]);
    for (limits, what) in [
        (Limits { source_bytes: 9, ..Limits::default() }, "9 bytes"),
        (Limits { source_files: 1, ..Limits::default() }, "1 files"),
    ] {
        let error = files(root.path(), &limits).unwrap_err();
        assert_eq!(error.kind(), Kind::SourceTooLarge);
        assert!(error.to_string().contains(what), "{error}");
    }
    let upload = Limits { source_upload_bytes: 20, ..Limits::default() };
    assert_eq!(pack(root.path(), &upload).unwrap_err().kind(), Kind::SourceTooLarge);

    let nowhere = root.path().join("nowhere");
    assert_eq!(files(&nowhere, &Limits::default()).unwrap_err().kind(), Kind::NoDirectory);
    symlink("../../etc/passwd", root.path().join("link")).unwrap();
    let error = files(root.path(), &Limits::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Source);
    assert!(error.to_string().starts_with("link: a symbolic link that leads out"), "{error}");
}

#[test]
fn a_pack_unpacks_and_is_the_same_twice() {
    let root = tree(&[("a/b.txt", "hello"), (".env", "SECRET")]);
    let read = || {
        let mut bytes = Vec::new();
        pack(root.path(), &Limits::default()).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    let (first, second) = (read(), read());
    assert_eq!(first, second);
    let to = tempfile::tempdir().unwrap();
    let bounds = pack::Bounds { bytes: 1_000, entries: 10 };
    pack::unpack(first.as_slice(), to.path(), bounds).unwrap();
    assert_eq!(names(to.path()), ["a/b.txt"]);
    assert!(!to.path().join(".env").exists());
}

#[test]
fn a_copy_touches_only_what_changed() {
    let from = tree(&[("a/one", "1"), ("a/two", "2"), ("b/three", "3"), (".env", "S")]);
    let to = tempfile::tempdir().unwrap();
    let limits = Limits::default();
    let copy = || copy(from.path(), to.path(), &limits).unwrap();
    assert_eq!(copy(), Copied { changed: 3, removed: 0 });
    assert_eq!(copy(), Copied::default());
    assert!(!to.path().join(".env").exists());

    // What a build left behind and is never part of an app stays.
    fs::create_dir_all(to.path().join("node_modules/x")).unwrap();
    fs::create_dir_all(to.path().join("dist")).unwrap();
    fs::write(to.path().join("dist/built.js"), "x").unwrap();
    fs::write(from.path().join("a/one"), "changed").unwrap();
    fs::remove_dir_all(from.path().join("b")).unwrap();
    symlink("one", from.path().join("a/link")).unwrap();
    assert_eq!(copy(), Copied { changed: 2, removed: 2 });
    assert_eq!(names(to.path()), ["a/link", "a/one", "a/two"]);
    assert_eq!(fs::read_to_string(to.path().join("a/link")).unwrap(), "changed");
    assert!(to.path().join("node_modules/x").is_dir());
    assert_eq!(copy(), Copied::default());
}

#[test]
fn a_directory_may_become_a_file_and_back() {
    let from = tree(&[("x/y", "1")]);
    let to = tempfile::tempdir().unwrap();
    let limits = Limits::default();
    copy(from.path(), to.path(), &limits).unwrap();
    fs::remove_dir_all(from.path().join("x")).unwrap();
    fs::write(from.path().join("x"), "file").unwrap();
    copy(from.path(), to.path(), &limits).unwrap();
    assert_eq!(fs::read_to_string(to.path().join("x")).unwrap(), "file");
    fs::remove_file(from.path().join("x")).unwrap();
    fs::create_dir(from.path().join("x")).unwrap();
    fs::write(from.path().join("x/y"), "2").unwrap();
    copy(from.path(), to.path(), &limits).unwrap();
    assert_eq!(fs::read_to_string(to.path().join("x/y")).unwrap(), "2");
}

#[test]
fn by_content_an_untouched_file_keeps_its_time() {
    let from = tree(&[("a", "same"), ("b", "old")]);
    let to = tempfile::tempdir().unwrap();
    let limits = Limits::default();
    sync(from.path(), to.path(), &limits, Times::Now).unwrap();
    let before = modified(&fs::metadata(to.path().join("a")).unwrap(), to.path()).unwrap();
    // Written again with the same content, as an upload does.
    let again = tree(&[("a", "same"), ("b", "new")]);
    let copied = sync(again.path(), to.path(), &limits, Times::Now).unwrap();
    assert_eq!(copied, Copied { changed: 1, removed: 0 });
    let after = modified(&fs::metadata(to.path().join("a")).unwrap(), to.path()).unwrap();
    assert_eq!(before, after);
    assert_eq!(fs::read_to_string(to.path().join("b")).unwrap(), "new");
}
