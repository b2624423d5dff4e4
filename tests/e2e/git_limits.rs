//! `git push` and `git fetch` over their limits, and trees that mean harm.

use std::process::Stdio;

use super::{
    git_push::{command, commit, current, git, remote},
    support::{Project, Server},
};

/// So many megabytes that no compression makes smaller.
fn noise(megabytes: usize) -> Vec<u8> {
    let blocks = std::iter::repeat_with(|| uuid::Uuid::new_v4().into_bytes());
    blocks.take(megabytes * 1_000_000 / 16).flatten().collect()
}

#[tokio::test]
async fn a_push_over_the_limits_is_refused_with_a_word() {
    let limits = [("WPAAS_LIMIT_GIT_PACK_BYTES", "1000000"), ("WPAAS_LIMIT_GIT_REFS", "3")];
    let server = Server::start_with(&[], &limits).await;
    server.run(&["create", "large"]).await.ok();
    let project = Project::new([("note.txt", "x")]);
    let directory = project.path();
    std::fs::write(directory.join("noise.bin"), noise(40)).unwrap();
    commit(directory).await;
    remote(&server, directory, "large").await;
    for version in ["HTTP/2", "HTTP/1.1"] {
        let version = format!("http.version={version}");
        let push = ["-c", &version, "push", "wpaas", "main"];
        git(directory, &push).await.fails("maximum allowed size");
    }
    git(directory, &["rm", "--quiet", "noise.bin"]).await.ok();
    git(directory, &["commit", "--quiet", "--amend", "--message", "small"]).await.ok();
    let many = ["push", "wpaas", "main:a", "main:b", "main:c", "main:d"];
    git(directory, &many).await.fails("at most 3 branches and tags");
    git(directory, &many[..4]).await.ok();
}

#[tokio::test]
async fn a_repository_that_is_full_takes_no_more_and_git_gets_no_more_memory() {
    let limits = [
        ("WPAAS_LIMIT_GIT_REPOSITORY_BYTES", "2000000"),
        ("WPAAS_LIMIT_GIT_MEMORY_BYTES", "60000000"),
    ];
    let server = Server::start_with(&[], &limits).await;
    server.run(&["create", "full"]).await.ok();
    let project = Project::new([("note.txt", "x")]);
    let directory = project.path();
    commit(directory).await;
    remote(&server, directory, "full").await;
    std::fs::write(directory.join("noise.bin"), noise(3)).unwrap();
    commit(directory).await;
    // Other branches are only stored.
    git(directory, &["push", "wpaas", "main:one"]).await.ok();
    let refused = git(directory, &["push", "wpaas", "main:two"]).await;
    assert!(refused.code != Some(0) && refused.said.contains("413"), "{}", refused.said);
    server.run(&["info", "-a", "full"]).await.ok();

    // A tree of very many names is held in memory whole.
    server.run(&["create", "hungry"]).await.ok();
    let project = Project::new([("note.txt", "x")]);
    let directory = project.path();
    commit(directory).await;
    let blob = git(directory, &["hash-object", "-w", "note.txt"]).await.ok();
    let name = "n".repeat(200);
    let list: String =
        (0..400_000).map(|n| format!("100644 blob {}\t{name}{n}\n", blob.trim())).collect();
    let mut tree = command(directory, &["mktree"]);
    let mut tree = tree.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = tree.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stdin, list.as_bytes()).await.unwrap();
    drop(stdin);
    let tree = String::from_utf8(tree.wait_with_output().await.unwrap().stdout).unwrap();
    let made = git(directory, &["commit-tree", tree.trim(), "-m", "many"]).await.ok();
    let made = format!("{}:refs/heads/many", made.trim());
    remote(&server, directory, "hungry").await;
    git(directory, &["push", "wpaas", &made]).await.fails("remote");
    git(directory, &["push", "wpaas", "main:small"]).await.ok();
}

#[tokio::test]
async fn what_a_fetch_asks_is_bounded() {
    let limits = [("WPAAS_LIMIT_GIT_FETCH_REQUEST_BYTES", "1000")];
    let server = Server::start_with(&[], &limits).await;
    server.run(&["create", "slow"]).await.ok();
    let project = Project::new([("note.txt", "x")]);
    commit(project.path()).await;
    remote(&server, project.path(), "slow").await;
    git(project.path(), &["push", "wpaas", "main:kept"]).await.ok();

    // What a fetch asks, also where it is small when it comes.
    let url = format!("{}/slow.git/git-upload-pack", server.api());
    let bomb = {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut packed, &[b'0'; 100_000]).unwrap();
        packed.finish().unwrap()
    };
    for (body, coding) in [(vec![b'0'; 1_001], "identity"), (bomb, "gzip")] {
        let request = reqwest::Client::new().post(&url).bearer_auth(server.token());
        let answer = request.header("content-encoding", coding).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 413, "{coding}");
    }
}

#[tokio::test]
async fn links_and_submodules_of_a_push_lead_nowhere() {
    let server = Server::start().await;
    server.run(&["create", "links"]).await.ok();
    let project = Project::copy_of("component-hello");
    let directory = project.path();
    let inner = Project::new([("secret.txt", "of the submodule")]);
    commit(inner.path()).await;
    let url = inner.path().to_str().unwrap();
    git(directory, &["init", "--quiet", "--initial-branch=main"]).await.ok();
    let add = ["-c", "protocol.file.allow=always", "submodule", "add", "--quiet", url, "inner"];
    git(directory, &add).await.ok();
    std::os::unix::fs::symlink("Procfile", directory.join("inside")).unwrap();
    commit(directory).await;
    remote(&server, directory, "links").await;
    // Submodules are not fetched, as their address is whatever the pusher says.
    let said = git(directory, &["push", "wpaas", "main"]).await.ok();
    assert!(said.contains("Released v2"), "{said}");
    assert_eq!(server.get("links", "/").await.0, 200);

    for target in ["/etc/passwd", "../../outside"] {
        let link = directory.join("outside");
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(target, &link).unwrap();
        commit(directory).await;
        let push = ["push", "wpaas", "main"];
        git(directory, &push).await.fails("a link that leads out of the archive");
        assert_eq!(current(&server, "links").await, 2);
    }
}

/// A directory with a buildpack that never comes to an end.
fn endless() -> Project {
    let script = |text: &str| format!("#!/bin/sh\n{text}\n");
    let detect = script("exit 0");
    let compile = script("echo compiling; while :; do sleep 1; done");
    let files = [("endless/bin/detect", &*detect), ("endless/bin/compile", &*compile)];
    let project = Project::new(files);
    for (file, _) in files {
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(project.path().join(file), executable).unwrap();
    }
    project
}

#[tokio::test]
async fn a_push_that_takes_too_long_is_refused_and_makes_room_for_others() {
    let buildpacks = endless();
    let directory = buildpacks.path().to_str().unwrap();
    let limits =
        [("WPAAS_LIMIT_GIT_REQUEST_MS", "3000"), ("WPAAS_LIMIT_CONCURRENT_GIT_REQUESTS", "1")];
    let server = Server::start_with(&["--buildpack-dir", directory], &limits).await;
    server.run(&["create", "slow"]).await.ok();
    server.run(&["buildpacks:set", &format!("{directory}/endless"), "-a", "slow"]).await.ok();
    let project = Project::new([("note.txt", "x")]);
    commit(project.path()).await;
    remote(&server, project.path(), "slow").await;
    let mut push = command(project.path(), &["push", "wpaas", "main"]);
    let mut push = push.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut stderr = push.stderr.take().unwrap();
    while !said.contains("compiling") {
        let mut chunk = [0; 1024];
        let read = tokio::io::AsyncReadExt::read(&mut stderr, &mut chunk).await.unwrap();
        assert!(read > 0, "{said}");
        said.push_str(&String::from_utf8_lossy(&chunk[..read]));
    }
    // Nobody else has a place meanwhile.
    git(project.path(), &["ls-remote", "wpaas"]).await.fails("429");
    tokio::io::AsyncReadExt::read_to_string(&mut stderr, &mut said).await.unwrap();
    assert!(!push.wait().await.unwrap().success());
    assert!(said.contains("The push took longer than 3 seconds"), "{said}");
    assert!(said.contains("Push rejected to slow"), "{said}");
    git(project.path(), &["push", "wpaas", "main:kept"]).await.ok();
    let refs = git(project.path(), &["ls-remote", "wpaas"]).await.ok();
    assert!(refs.contains("refs/heads/kept") && !refs.contains("refs/heads/main"), "{refs}");
}
