use super::*;

fn file(path: &str, content: &[u8]) -> FileEntry {
    FileEntry {
        path: path.into(),
        digest: Digest::of(content),
        size: content.len() as u64,
        executable: false,
    }
}

fn config(files: Vec<FileEntry>) -> SlugConfig {
    let component = ComponentRef::Own { digest: Digest::of(b"wasm"), size: 4 };
    let web = ProcessType::new("app.wasm", component, World::Http, vec![]);
    SlugConfig {
        buildpack: "Component".into(),
        stack: None,
        processes: BTreeMap::from([("web".into(), web)]),
        programs: BTreeMap::new(),
        files,
    }
}

#[test]
fn same_content_same_digest_whatever_the_order() {
    let limits = Limits::default();
    let one = Slug::new(config(vec![file("a", b"1"), file("b", b"2")]), &limits).unwrap();
    let two = Slug::new(config(vec![file("b", b"2"), file("a", b"1")]), &limits).unwrap();
    let other = Slug::new(config(vec![file("a", b"2"), file("b", b"2")]), &limits).unwrap();
    assert_eq!(one, two);
    assert_ne!(one.digest, other.digest);
    let read = Slug::parse(one.manifest.clone(), one.config_document.clone(), &limits).unwrap();
    assert_eq!(read, one);
    assert_eq!(Slug::config_digest(&one.manifest).unwrap(), Digest::of(&one.config_document));
}

#[test]
fn hostile_configs_are_refused() {
    let limits = Limits {
        source_files: 3,
        slug_bytes: 100,
        process_types: 2,
        programs: 2,
        ..Limits::default()
    };
    let programs = ["a", "b", "c"].map(|name| (name.to_owned(), web().component));
    let processes = ["a", "b", "c"].map(|name| (name.to_owned(), web()));
    let bad = [
        SlugConfig { programs: programs.into(), ..config(vec![]) },
        SlugConfig { processes: processes.into(), ..config(vec![]) },
        SlugConfig { programs: [("a/b".to_owned(), web().component)].into(), ..config(vec![]) },
        config(vec![file("../a", b"1")]),
        config(vec![file("/etc/passwd", b"1")]),
        config(vec![file("a", b"1"), file("a", b"2")]),
        config(vec![file("a", b"1"), file("a/b", b"2")]),
        config(vec![file("a", b"1"), file("b", b""), file("c", b""), file("d", b"")]),
        config(vec![file("a/b/c/d/e", b"1")]),
        config(vec![file("a", &[0; 101])]),
        SlugConfig { processes: BTreeMap::from([("we b".into(), web())]), ..config(vec![]) },
        SlugConfig { processes: BTreeMap::from([("web".into(), on_stack())]), ..config(vec![]) },
    ];
    for config in bad {
        assert!(Slug::new(config.clone(), &limits).is_err(), "{config:?}");
    }
}

fn web() -> ProcessType {
    config(vec![]).processes.remove("web").unwrap()
}

fn on_stack() -> ProcessType {
    ProcessType { component: ComponentRef::Stack, ..web() }
}

#[test]
fn a_manifest_in_any_other_form_is_refused() {
    let limits = Limits::default();
    let slug = Slug::new(config(vec![file("a", b"1")]), &limits).unwrap();
    let mut spaced = slug.manifest.clone();
    spaced.push(b' ');
    assert!(Slug::parse(spaced, slug.config_document.clone(), &limits).is_err());
    assert!(Slug::config_digest(b"{}").is_err());
}
