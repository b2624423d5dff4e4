//! A limit without a test that attacks it is a wish: every name is looked for in all tests of this repository.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use super::Limits;

/// Limits that no test sets, and why. Whoever writes a test takes its limit from here.
const WITHOUT: &[(&str, &str)] = &[
    ("toolchain_ms", "toolchains are installed before the tests"),
    ("code_bytes", "the cache of machine code is shared by all tests"),
    ("code_keep_days", "the cache of machine code is shared by all tests"),
    ("buildpacks_per_app", "tests use the default"),
    ("concurrent_logins", "a semaphore, as that of concurrent_builds"),
    ("dyno_table_elements", "wasmtime's, as memory is"),
    ("path_bytes", "tests use the default"),
    ("epoch_tick_ms", "a clock and no bound"),
    ("requests_at_once", "a default of wpaas.toml's"),
    ("requests_at_once_max", "a bound on wpaas.toml, tested with its default"),
    ("dyno_kept_connections", "the pool closes what is beyond it"),
    ("one_off_ms", "24 hours; time_to_live is tested in its place"),
    ("terminal_line_bytes", "tests use the default"),
    ("body_chunk_bytes", "tests use the default"),
    ("egress_header_bytes", "hyper's, as that of the router"),
    ("client_connect_ms", "of the command, whose user waits"),
    ("client_response_ms", "of the command, whose user waits"),
    ("client_pages", "of the command, whose user waits"),
    ("client_uploads", "of the command, whose user waits"),
    ("client_forwards", "of the command, whose user waits"),
    ("package_json_bytes", "tests use the default"),
    ("trace_queue_spans", "OpenTelemetry's own queue"),
    ("trace_batch_spans", "OpenTelemetry's own queue"),
    ("trace_export_ms", "OpenTelemetry's own exporter"),
];

/// Rust sources below a directory, without what was built.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        match path.is_dir() {
            true if name != "target" && !name.starts_with('.') => sources(&path, found),
            false if name.ends_with(".rs") => found.push(path),
            _ => {}
        }
    }
}

/// The part of a source that is a test.
fn tests(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let is_test = path.components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        ["tests", "tests.rs", "bench", "benches"].contains(&part.as_ref())
    });
    match is_test {
        true => Some(text),
        false => text.split_once("#[cfg(test)]\nmod tests {").map(|(_, tests)| tests.to_owned()),
    }
}

#[test]
fn every_limit_has_a_test_that_sets_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for directory in ["bench", "builder", "cli", "platform", "runtime", "slug", "tests"] {
        sources(&root.join(directory), &mut files);
    }
    let mut all = String::new();
    for path in files.iter().filter(|path| !path.ends_with("limits/attacked.rs")) {
        all.push_str(&tests(path).unwrap_or_default());
    }
    let mut wrong = String::new();
    for (name, ..) in Limits::TABLE {
        // Set in a literal or by its variable.
        let is_set = all.contains(&format!("{name}: "))
            || all.contains(&format!("limits.{name} = "))
            || all.contains(&format!("WPAAS_LIMIT_{}", name.to_ascii_uppercase()));
        let is_without = WITHOUT.iter().any(|(without, _)| without == name);
        if is_set == is_without {
            let _ = writeln!(wrong, "{name}: {}", if is_set { "has a test" } else { "has none" });
        }
    }
    assert_eq!(wrong, "");
}
