//! A path of an archive or a manifest, and on a second line the target of a link there.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::{Component, Path};

use wpaas_slug::{pack::stays_inside, path};

/// Where a path leads, by its text; `None` when it is above the root at any moment.
fn depth(from: usize, path: &Path) -> Option<usize> {
    path.components().try_fold(from, |depth, part| match part {
        Component::Normal(_) => Some(depth + 1),
        Component::CurDir => Some(depth),
        Component::ParentDir => depth.checked_sub(1),
        Component::RootDir | Component::Prefix(_) => None,
    })
}

fuzz_target!(|text: &str| {
    let (name, link) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(name) = path::check(name) else { return };
    let parts: Vec<_> = Path::new(name).components().collect();
    assert!(!parts.is_empty() && parts.iter().all(|part| matches!(part, Component::Normal(_))));
    assert_eq!(parts.len(), name.split('/').count());
    let above = depth(parts.len() - 1, Path::new(link)).is_none();
    assert_eq!(stays_inside(name, Path::new(link)), !above);
});
