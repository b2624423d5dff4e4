//! `wpaas prepare`: the next version gets ready while this one serves.

use std::path::{Path, PathBuf};

use super::support::{Server, example};

/// The code files below `cache`.
fn code(cache: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(cache.join("code")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[tokio::test]
async fn the_next_version_is_prepared_beside_a_running_server() {
    let cache = tempfile::tempdir().unwrap();
    let variables = [("WPAAS_CACHE_DIR", cache.path().to_str().unwrap())];
    let server = Server::start_with(&[], &variables).await;
    server.deploy(&example("component-hello"), "hello").await;
    let prepare = async || {
        let mut command = server.command(&["prepare", "--data", server.data().to_str().unwrap()]);
        let output = command.envs(variables).output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(prepare().await, "Ready: compiled 0 components\n");

    // As if another version had compiled it.
    let own = code(cache.path());
    for file in &own {
        let name = file.file_name().unwrap().to_str().unwrap();
        let (component, extension) = (&name[..64], name.rsplit_once('.').unwrap().1);
        let aged = format!("{component}-0123456789abcdef.{extension}");
        std::fs::rename(file, file.with_file_name(aged)).unwrap();
    }
    assert_eq!(server.get("hello", "/").await.0, 200, "it goes on with what it has");
    assert_eq!(prepare().await, "Ready: compiled 1 component\n");
    let all = code(cache.path());
    assert!(own.iter().all(|file| all.contains(file)), "{all:?}");
    assert_eq!(all.len(), 2 * own.len(), "the other version may still need its own: {all:?}");
    assert_eq!(server.get("hello", "/").await.0, 200);
}

#[tokio::test]
async fn without_a_data_directory_there_is_nothing_to_prepare() {
    let home = tempfile::tempdir().unwrap();
    let missing = home.path().join("missing");
    let arguments = ["prepare", "--data", missing.to_str().unwrap()];
    super::support::run_alone(home.path(), &arguments).await.fails(1, "no data directory");
    assert!(!missing.exists());
}
