//! Code for the next version, made while this one serves.

use std::{path::PathBuf, sync::Arc};

use wpaas_runtime::{Compiler, Node};
use wpaas_slug::{
    Digest, Store,
    feed::{Change, NodeLink, Snapshot},
};

use crate::{
    compiler::compiler,
    support::{Host, app, guest, host_in, slug, soon},
};

impl Host {
    fn code(&self) -> PathBuf {
        self.directory.path().join("cache/code")
    }

    /// Files of code, by component and shape.
    fn files(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.code()).unwrap();
        let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut files: Vec<_> = files.filter(|file| file.ends_with(".cwasm")).collect();
        files.sort();
        files
    }

    /// Makes all code that of another version.
    fn age_code(&self) {
        for file in std::fs::read_dir(self.code()).unwrap() {
            let file = file.unwrap().path();
            let name = file.file_name().unwrap().to_str().unwrap();
            let (component, rest) = name.split_once('-').unwrap();
            let (_, extension) = rest.split_once('.').unwrap();
            let aged = format!("{component}-aaaaaaaaaaaaaaaa.{extension}");
            std::fs::rename(&file, file.with_file_name(aged)).unwrap();
        }
    }

    /// A node as the next version's program starts it.
    fn next(&self, compiler: Compiler) -> Node {
        let cache = self.directory.path().join("cache");
        Node::builder(self.store.clone(), cache).compiler(compiler).build().unwrap()
    }
}

/// A compiler that must not be needed.
fn broken() -> Compiler {
    Compiler::Process { program: "/does/not/exist".into(), args: vec![] }
}

async fn host() -> Host {
    host_in(tempfile::tempdir().unwrap(), |_| {}, |builder| builder.compiler(compiler())).await
}

async fn snapshot(store: &Store) -> Snapshot {
    let slug = slug(store, guest("component-hello"), &[], false).await;
    let stack = store.put(guest("attack").into()).await.unwrap().0;
    Snapshot {
        revision: 1,
        stacks: [("test-stack".to_owned(), stack)].into(),
        apps: vec![Arc::new(app("app", Some(slug)))],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_version_compiles_all_while_this_one_serves() {
    let host = host().await;
    host.deploy("app", "component-hello").await;
    host.age_code();
    let old = host.files();
    host.get("/").await.ok();

    let prepared = host.next(compiler()).prepare_code(&snapshot(&host.store).await).await.unwrap();
    assert_eq!((prepared.compiled, prepared.failed.as_slice()), (2, &[][..]));
    host.get("/").await.ok();
    let all = host.files();
    assert_eq!(all.len(), 3);
    assert!(old.iter().all(|file| all.contains(file)), "this version may still need its own");

    let next = host.next(broken());
    let again = next.prepare_code(&snapshot(&host.store).await).await.unwrap();
    assert_eq!((again.compiled, again.failed.len()), (0, 0), "the next version starts with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_code_is_compiled_without_being_told_of_apps() {
    let host = host().await;
    host.deploy("app", "component-hello").await;
    host.age_code();
    let prepared = host.next(compiler()).prepare_code(&Snapshot::default()).await.unwrap();
    assert_eq!((prepared.compiled, host.files().len()), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_prepared_is_named_and_the_rest_is_done() {
    let host = host().await;
    let mut snapshot = snapshot(&host.store).await;
    let rubbish = slug(&host.store, b"rubbish".to_vec(), &[], false).await;
    snapshot.apps.insert(0, Arc::new(app("rubbish", Some(rubbish))));
    snapshot.stacks.insert("gone".into(), Digest::of(b"gone"));
    let prepared = host.next(compiler()).prepare_code(&snapshot).await.unwrap();
    assert_eq!(prepared.compiled, 2);
    let [stack, app] = prepared.failed.as_slice() else { panic!("{prepared:?}") };
    assert!(stack.starts_with("stack gone: ") && stack.contains("not in the store"), "{stack}");
    assert!(app.starts_with("app rubbish: ") && app.contains("does not compile"), "{app}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_starting_node_renews_what_only_another_version_had() {
    let host = host().await;
    let mut old = host.deploy("app", "attack").await;
    host.deploy("app", "component-hello").await;
    host.age_code();
    let [aged] = [host.files()];

    // The app's own code first, then that of the release it may be rolled back to.
    let next = host.next(compiler());
    let mut snapshot = snapshot(&host.store).await;
    snapshot.stacks.clear();
    next.load(snapshot).await;
    soon(async {
        while host.files().len() < 2 * aged.len() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    old.name = "rolled-back".into();
    host.next(broken()).apply(Change::App(Arc::new(old))).await.unwrap();
}
