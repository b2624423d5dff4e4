//! The copy of the SDK in `examples/rust-hello` is this SDK.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What `vendor.sh` copies.
const PARTS: [&str; 5] = ["Cargo.toml", "README.md", "src", "macros/Cargo.toml", "macros/src"];

fn read(root: &Path, relative: &Path, files: &mut BTreeMap<PathBuf, String>) {
    let path = root.join(relative);
    assert!(!path.is_symlink(), "{} is a symlink, which an upload refuses", path.display());
    if path.is_dir() {
        for entry in path.read_dir().unwrap() {
            read(root, &relative.join(entry.unwrap().file_name()), files);
        }
    } else {
        files.insert(relative.to_owned(), std::fs::read_to_string(&path).unwrap());
    }
}

#[test]
fn the_example_holds_this_sdk() {
    // As cargo says now: a target directory may be shared by checkouts in different places.
    let sdk = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
    let sdk = sdk.as_path();
    let (mut ours, mut copy) = (BTreeMap::new(), BTreeMap::new());
    for part in PARTS {
        read(sdk, Path::new(part), &mut ours);
    }
    read(&sdk.join("../../examples/rust-hello/vendor/wpaas-sdk"), Path::new(""), &mut copy);

    let names = |files: &BTreeMap<PathBuf, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&copy), "run sdk/rust/vendor.sh");
    for (path, text) in &ours {
        assert_eq!(Some(text), copy.get(path), "{}: run sdk/rust/vendor.sh", path.display());
    }
}
