//! Apps with buildpacks of their own: several in order, from git and from a web server.

use std::{os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};

use super::{
    git_push::{commit, git},
    support::{Identity, Project, Server, example},
};

/// A buildpack of these files, those of bin executable.
fn buildpack(files: &[(&str, &str)]) -> Project {
    let project = Project::new(files.iter().copied());
    for (name, _) in files.iter().filter(|(name, _)| name.starts_with("bin/")) {
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(project.path().join(name), executable).unwrap();
    }
    project
}

/// A bare repository of it below `directory`, by its address.
async fn repository(project: &Project, directory: &Path, name: &str) -> String {
    commit(project.path()).await;
    let bare = directory.join(name);
    git(project.path(), &["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]).await.ok();
    format!("file://{}", bare.display())
}

#[tokio::test]
async fn two_from_git_and_nodes_own_after_them() {
    let repositories = tempfile::tempdir().unwrap();
    let directory = repositories.path();
    let words = buildpack(&[
        (
            "bin/compile",
            "#!/bin/sh\necho 'one of git' > \"$1/words.txt\"\ncat \"$3/NAME\" >> \"$1/words.txt\"\n",
        ),
        ("export", "export SUFFIX='and exported'\n"),
    ]);
    let more = buildpack(&[(
        "bin/compile",
        "#!/bin/sh\nset -e\necho \"two $SUFFIX\" >> \"$1/words.txt\"\n",
    )]);
    let words = repository(&words, directory, "words.git").await;
    let more = format!("{}#main", repository(&more, directory, "more.git").await);
    let server = Server::start_with(&["--buildpack-dir", directory.to_str().unwrap()], &[]).await;
    server.run(&["create", "several"]).await.ok();
    server.run(&["config:set", "NAME=by-name", "-a", "several"]).await.ok();

    let run = |verb: &str, what: &str| {
        let verb = format!("buildpacks{verb}");
        let arguments = [verb.as_str(), what, "-a", "several"].map(str::to_owned);
        let server = &server;
        async move {
            let arguments: Vec<&str> =
                arguments.iter().map(String::as_str).filter(|word| !word.is_empty()).collect();
            server.run(&arguments).await
        }
    };
    run(":set", "heroku/nodejs").await.ok();
    run(":set", "heroku/php").await.fails(1, "it is no buildpack of wpaas");
    run(":set", "/etc").await.fails(1, "--buildpack-dir");
    run(":add", "heroku/nodejs").await.fails(2, "already set");
    let added = ["buildpacks:add", "--index", "1", &more, "-a", "several", "--json"];
    let added = server.run(&added).await.ok().json();
    assert_eq!(added[0]["buildpack"]["url"], more.as_str());
    server.run(&["buildpacks:add", "-i", "1", &words, "-a", "several"]).await.ok();
    let listed = run("", "").await.ok().stdout;
    assert!(listed.ends_with(&format!("1. {words}\n2. {more}\n3. heroku/nodejs\n")), "{listed}");

    let app = Project::new([
        (
            "package.json",
            r#"{"scripts": {"start": "node server.js", "build": "echo three $SUFFIX >> words.txt"}}"#,
        ),
        (
            "server.js",
            "const text = require('fs').readFileSync('words.txt', 'utf8');\n\
             require('http').createServer((_, res) => res.end(text)).listen(process.env.PORT);\n",
        ),
    ]);
    let deployed =
        server.run(&["deploy", app.path().to_str().unwrap(), "-a", "several"]).await.ok();
    let said = format!("{}{}", deployed.stdout, deployed.stderr);
    assert!(said.contains("-----> Using buildpacks:"), "{said}");
    let expected = "one of git\nby-nametwo and exported\nthree and exported\n";
    assert_eq!(server.get("several", "/").await, (200, expected.to_owned()));

    // Built here, the same buildpacks make the same slug.
    let directory = app.path().to_str().unwrap();
    let local = server.run(&["deploy", directory, "-a", "several", "--local", "--json"]).await.ok();
    assert_eq!(local.json()["uploaded_blobs"], 0, "{}", local.stdout);

    run(":remove", &more).await.ok();
    run(":clear", "").await.ok();
    let none = run("", "").await.ok();
    assert!(none.stdout.is_empty() && none.stderr.contains("no buildpacks"), "{none:?}");
}

/// Serves `content` over TLS with a tag, and answers 304 to those who have it; what it was asked.
async fn serve(identity: &Identity, content: Vec<u8>) -> (u16, Arc<Mutex<Vec<String>>>) {
    let (acceptor, listener) =
        (identity.acceptor(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let heads = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(acceptor.accept(stream).await.unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert!(stream.read_line(&mut head).await.unwrap() > 0);
            }
            let known = head.contains("If-None-Match: \"one\"");
            heads.lock().push(head);
            let answer = match known {
                true => "HTTP/1.1 304 Not Modified\r\netag: \"one\"\r\nconnection: close\r\n\r\n"
                    .to_owned(),
                false => format!(
                    "HTTP/1.1 200 OK\r\netag: \"one\"\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    content.len()
                ),
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
            if !known {
                stream.write_all(&content).await.unwrap();
            }
            stream.shutdown().await.unwrap();
        }
    });
    (port, asked)
}

#[tokio::test]
async fn a_tarball_is_taken_from_a_web_server_when_it_changed() {
    let pack = buildpack(&[
        ("bin/detect", "#!/bin/sh\necho Greeting\n"),
        ("bin/compile", "#!/bin/sh\ncp \"$(dirname \"$0\")/../app.wasm\" \"$1/app.wasm\"\n"),
        ("bin/release", "#!/bin/sh\necho 'default_process_types: {web: app.wasm}'\n"),
    ]);
    std::fs::copy(example("component-hello").join("app.wasm"), pack.path().join("app.wasm"))
        .unwrap();
    let archive = wpaas_slug::pack::pack(
        pack.path(),
        &["app.wasm", "bin/compile", "bin/detect", "bin/release"].map(Into::into),
        Vec::new(),
    );
    let identity = Identity::of("localhost");
    let (port, asked) = serve(&identity, archive.unwrap()).await;
    let server = Server::start_with(&[], &[("CURL_CA_BUNDLE", identity.authority())]).await;
    server.run(&["create", "fetched"]).await.ok();
    let url = format!("https://me:s3cret@localhost:{port}/pack.tgz");
    let set = server.run(&["buildpacks:set", &url, "-a", "fetched"]).await.ok();
    assert!(!format!("{set:?}").contains("s3cret"), "{set:?}");
    for text in ["one", "two"] {
        let app = Project::new([("note.txt", text)]);
        let run = server.run(&["deploy", app.path().to_str().unwrap(), "-a", "fetched"]).await.ok();
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(said.contains("Greeting app detected") && !said.contains("s3cret"), "{said}");
        assert_eq!(server.get("fetched", "/").await.0, 200);
    }
    let asked = asked.lock().clone();
    assert_eq!(asked.len(), 2, "{asked:#?}");
    assert!(asked[1].contains("If-None-Match"), "{asked:#?}");
    assert!(asked[0].contains("Authorization: Basic"), "{asked:#?}");
}
