//! A hostile source archive. The input is the tar itself, so that the fuzzer need not learn gzip.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::{io::Write, path::Path};

use flate2::{Compression, write::GzEncoder};
use wpaas_slug::pack::{Bounds, unpack};

const BOUNDS: Bounds = Bounds { bytes: 10_000, entries: 20 };

/// Counts bytes and entries, and checks that nothing leads out of `root`.
fn walk(root: &Path, directory: &Path, bytes: &mut u64) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            walk(root, &entry.path(), bytes);
        } else if kind.is_symlink() {
            assert!(entry.path().canonicalize().unwrap().starts_with(root));
        } else {
            assert!(kind.is_file());
            *bytes += entry.metadata().unwrap().len();
        }
    }
}

fuzz_target!(|tar: &[u8]| {
    let mut archive = GzEncoder::new(Vec::new(), Compression::none());
    archive.write_all(tar).unwrap();
    let archive = archive.finish().unwrap();
    let scratch = Path::new("/dev/shm");
    let scratch = if scratch.is_dir() { scratch.to_owned() } else { std::env::temp_dir() };
    let scratch = tempfile::tempdir_in(scratch).unwrap();
    let root = scratch.path().join("in");
    std::fs::create_dir(&root).unwrap();
    let unpacked = unpack(&archive[..], &root, BOUNDS);
    let outside = std::fs::read_dir(scratch.path()).unwrap().count();
    assert_eq!(outside, 1, "something was written outside");
    if unpacked.is_ok() {
        let (root, mut bytes) = (root.canonicalize().unwrap(), 0);
        walk(&root, &root, &mut bytes);
        assert!(bytes <= BOUNDS.bytes);
    }
});
