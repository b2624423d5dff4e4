use super::*;

fn read(bytes: impl Into<Vec<u8>>) -> Result<Component, Error> {
    Component::read("app.wasm", bytes.into(), &Limits::default())
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// A component that exports an instance under each name.
fn exporting(names: &[&str]) -> Vec<u8> {
    let exports: Vec<String> =
        names.iter().map(|name| format!("(export {name:?} (instance $i))")).collect();
    wat(&format!("(component (instance $i) {})", exports.join(" ")))
}

#[test]
fn worlds_are_told_by_their_exports() {
    let default = Settings::default();
    let http = read(exporting(&["wasi:http/incoming-handler@0.2.10"])).unwrap();
    assert_eq!(http.world_for("web", "app.wasm", &default).unwrap(), World::Http);
    let error = http.world_for("worker", "app.wasm", &default).unwrap_err().to_string();
    assert!(
        error.contains("process type worker needs") && error.contains("wasi:cli/run"),
        "{error}"
    );

    let both =
        read(exporting(&["wasi:cli/run@0.2.0", "wasi:http/incoming-handler@0.2.0"])).unwrap();
    assert_eq!(both.world_for("web", "app.wasm", &default).unwrap(), World::Http);
    assert_eq!(both.world_for("worker", "app.wasm", &default).unwrap(), World::Cli);

    let p3 = read(exporting(&["wasi:http/handler@0.3.0"])).unwrap();
    assert_eq!(p3.world_for("web", "app.wasm", &default).unwrap(), World::Http);

    for other in [&["wasi:http/handler@0.30.0"][..], &["wasi:http/incoming-handler@0.20.0"], &[]] {
        let error =
            read(exporting(other)).unwrap().world_for("web", "a.wasm", &default).unwrap_err();
        let found = other.first().copied().unwrap_or("nothing");
        assert!(error.to_string().contains(found), "{error}");
    }
}

#[test]
fn exports_of_nested_components_do_not_count() {
    let text = r#"(component (component (instance $i)
        (export "wasi:http/incoming-handler@0.2.0" (instance $i))))"#;
    assert!(!read(wat(text)).unwrap().exports.offers(World::Http));
}

#[test]
fn a_preview_1_command_becomes_a_component() {
    let module = wat(r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (func (export "_start") (call $exit (i32.const 0))))"#);
    let component = read(module.clone()).unwrap();
    assert!(component.exports.offers(World::Cli) && !component.exports.offers(World::Http));
    assert_eq!(component.digest, read(module).unwrap().digest);
}

#[test]
fn everything_else_is_refused_with_what_it_is() {
    let limits = Limits { component_bytes: 8, ..Limits::default() };
    let component = exporting(&["wasi:cli/run@0.2.0"]);
    let large = Component::read("app.wasm", component.clone(), &limits).unwrap_err().to_string();
    assert!(large.contains("more than the limit of 8"), "{large}");

    let mut damaged = component;
    damaged.truncate(damaged.len() - 3);
    let mut wrong_version = wat("(module)");
    wrong_version[4] = 9;
    for (bytes, says) in [
        (vec![], "an empty file"),
        (b"\x7fELF\x02".to_vec(), "a native program"),
        (b"hello".to_vec(), "no WebAssembly"),
        (b"(module)".to_vec(), "WebAssembly text"),
        (b"version https://git-lfs.github.com/spec/v1\n".to_vec(), "Git LFS pointer"),
        (damaged, "not a valid"),
        (wrong_version, "not valid"),
        (wat("(module)"), "without `_start`"),
        (wat(r#"(module (import "env" "f" (func)) (func (export "_start")))"#), "imports \"env\""),
    ] {
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.starts_with("app.wasm: ") && error.contains(says), "{error}");
    }
}
