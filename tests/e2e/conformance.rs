//! Node.js on the stack does what Node.js does: the same checks run on both and print the same.

use std::process::Stdio;

use tokio::process::Command;

use super::{
    dev::Dev,
    support::{Project, checkout, free_port},
};

/// Headers whose treatment is part of the checks.
const HEADERS: [(&str, &str); 6] = [
    ("host", "app.localhost"),
    ("x-one", "1"),
    ("x-many", "a"),
    ("x-many", "b"),
    ("cookie", "a=b"),
    ("content-type", "text/plain"),
];

async fn ask(url: &str, section: &str) -> Result<(u16, String), reqwest::Error> {
    let mut request = reqwest::Client::new().post(format!("{url}/{section}")).body("the body");
    for (name, value) in HEADERS {
        request = request.header(name, value);
    }
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

#[tokio::test]
async fn the_stack_prints_what_node_prints() {
    let project = Project::new([(".env", "GREETING=hello\n")]);
    project.copy_from(&checkout().join("builder/stacks/node-20/test/conformance"));
    let port = free_port();
    let mut node = Command::new("node")
        .arg("server.js")
        .current_dir(project.path())
        .env("PORT", port.to_string())
        .env("GREETING", "hello")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let native = format!("http://127.0.0.1:{port}");
    while ask(&native, "path").await.is_err() {
        assert_eq!(node.try_wait().unwrap(), None, "node ended");
        tokio::task::yield_now().await;
    }
    let dev = Dev::start(&project).await;

    let mut sections = 0;
    let directory = project.path().join("sections");
    for section in std::fs::read_dir(directory).unwrap() {
        let name = section.unwrap().file_name().into_string().unwrap();
        let name = name.strip_suffix(".js").unwrap();
        let (status, expected) = ask(&native, name).await.unwrap();
        let (stack_status, actual) = ask(dev.url(), name).await.unwrap();
        assert!(expected.lines().count() > 3, "{name} checks next to nothing: {expected}");
        for (expected, actual) in expected.lines().zip(actual.lines()) {
            assert_eq!(actual, expected, "section {name}");
        }
        assert_eq!(actual.lines().count(), expected.lines().count(), "section {name}");
        assert_eq!(stack_status, status, "section {name}");
        sections += 1;
    }
    assert!(sections >= 15, "only {sections} sections");
}
