use super::*;

const BOUNDS: Bounds = Bounds { bytes: 1_000, entries: 10 };

fn archive(build: impl FnOnce(&mut tar::Builder<GzEncoder<Vec<u8>>>)) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    build(&mut builder);
    builder.into_inner().unwrap().finish().unwrap()
}

/// Writes the name into the header as it is; the tar crate's own setters refuse `..`.
fn raw_entry(
    builder: &mut tar::Builder<GzEncoder<Vec<u8>>>,
    name: &str,
    kind: tar::EntryType,
    link: &str,
    content: &[u8],
) {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    header.set_cksum();
    builder.append(&header, content).unwrap();
}

fn unpack_one(name: &str, kind: tar::EntryType, link: &str, content: &[u8]) -> Result<(), Error> {
    let to = tempfile::tempdir().unwrap();
    let bytes = archive(|b| raw_entry(b, name, kind, link, content));
    unpack(bytes.as_slice(), to.path(), BOUNDS)
}

#[test]
fn a_tree_comes_back_as_it_was() {
    let from = tempfile::tempdir().unwrap();
    std::fs::create_dir(from.path().join("bin")).unwrap();
    std::fs::write(from.path().join("bin/run"), "#!/bin/sh").unwrap();
    std::fs::write(from.path().join("a.txt"), "a").unwrap();
    let run = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(from.path().join("bin/run"), run).unwrap();
    std::os::unix::fs::symlink("../a.txt", from.path().join("bin/a")).unwrap();
    let files: Vec<PathBuf> = ["a.txt", "bin/a", "bin/run"].map(PathBuf::from).into();
    let one = pack(from.path(), &files, Vec::new()).unwrap();
    assert_eq!(one, pack(from.path(), &files, Vec::new()).unwrap());

    let to = tempfile::tempdir().unwrap();
    unpack(one.as_slice(), to.path(), BOUNDS).unwrap();
    assert_eq!(std::fs::read_to_string(to.path().join("bin/a")).unwrap(), "a");
    let mode = std::fs::metadata(to.path().join("bin/run")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
}

#[test]
fn nothing_is_written_outside() {
    use tar::EntryType as Kind;
    for name in ["../evil", "/etc/evil", "a/../../evil"] {
        assert!(matches!(unpack_one(name, Kind::Regular, "", b"x"), Err(Error::Path(_))), "{name}");
    }
    for link in ["/etc/passwd", "../x", "a/../../x"] {
        let refused = unpack_one("link", Kind::Symlink, link, b"");
        assert!(matches!(refused, Err(Error::Entry { .. })), "{link}");
    }
    for kind in [Kind::Link, Kind::Char, Kind::Block, Kind::Fifo] {
        assert!(matches!(unpack_one("x", kind, "a", b""), Err(Error::Entry { .. })), "{kind:?}");
    }
    // A link first and then a file through it: the file is a real one, and the link finds it there.
    let to = tempfile::tempdir().unwrap();
    let through = archive(|b| {
        raw_entry(b, "dir", Kind::Symlink, "other", b"");
        raw_entry(b, "dir/file", Kind::Regular, "", b"x");
    });
    assert!(unpack(through.as_slice(), to.path(), BOUNDS).is_err());
    // Each link is fine by its text; together they climb out.
    let to = tempfile::tempdir().unwrap();
    let chained = archive(|b| {
        raw_entry(b, "p/q/up", Kind::Symlink, "../..", b"");
        raw_entry(b, "out", Kind::Symlink, "p/q/up/..", b"");
    });
    assert!(matches!(unpack(chained.as_slice(), to.path(), BOUNDS), Err(Error::Entry { .. })));
}

#[test]
fn bombs_are_stopped() {
    use tar::EntryType as Kind;
    let big = unpack_one("big", Kind::Regular, "", &[0; 1_001]);
    assert!(matches!(big, Err(Error::Limit { what: "bytes", .. })));
    let many = archive(|b| {
        for i in 0..11 {
            raw_entry(b, &format!("f{i}"), Kind::Regular, "", b"");
        }
    });
    let to = tempfile::tempdir().unwrap();
    let refused = unpack(many.as_slice(), to.path(), BOUNDS);
    assert!(matches!(refused, Err(Error::Limit { what: "files", .. })));
    assert!(unpack(&b"not an archive"[..], to.path(), BOUNDS).is_err());
}
