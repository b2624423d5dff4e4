//! Autobahn's test suite for WebSockets (tests/autobahn) against an app through the router, and against the same app
//! alone, on the system's own Python: what passes there must pass here.
//!
//! By default cases of every kind, for half a minute; `WPAAS_AUTOBAHN='*'` runs all of them.

use std::{collections::BTreeMap, path::Path, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use super::python::{WEBSOCKETS, python};
use crate::support::test_cache;

/// All but the big ones of limits and compression.
const CASES: &str = "1.* 2.* 3.* 4.* 5.* 6.* 7.* 9.1.1 9.1.2 9.2.1 9.2.2 9.5.6 9.6.6 9.7.1 9.8.1 10.* 12.1.3 12.2.1 12.3.5 13.1.1 13.3.3 13.7.1";

/// By case: what became of it, and of its connection at the end.
type Results = BTreeMap<String, (String, String)>;

async fn fuzz(url: String, host: &str, cases: &str) -> Results {
    let tools = test_cache().join("autobahn");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/autobahn/fuzz.py");
    let mut command = Command::new(tools.join("env/bin/python"));
    command.arg(script).arg(tools.join("suite")).args([&url, host]).args(cases.split(' '));
    let output = command.kill_on_drop(true).output().await.expect("run tests/setup/autobahn.sh");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The app without wpaas, on its address.
async fn alone() -> (Child, String) {
    let tools = test_cache().join("autobahn");
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/apps/python/websockets");
    let mut command = Command::new(tools.join("env/bin/python"));
    command.arg(app.join("server.py")).envs([("HOST", "127.0.0.1"), ("PORT", "0")]);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().expect("run tests/setup/autobahn.sh");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let port = line.rsplit(' ').next().unwrap().to_owned();
    // It writes a line for each connection, and would wait for a reader.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, format!("127.0.0.1:{port}"))
}

fn passes((behavior, at_close): &(String, String)) -> bool {
    let good = ["OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"];
    good.contains(&behavior.as_str()) && good.contains(&at_close.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn autobahns_cases_pass_that_pass_without_the_router() {
    let cases = std::env::var("WPAAS_AUTOBAHN").unwrap_or_else(|_| CASES.into());
    let (_child, address) = alone().await;
    let (host, _) = python("websockets", WEBSOCKETS, |_| {}).await;
    let alone = fuzz(format!("ws://{address}/"), &address, &cases).await;
    let url = format!("ws://{}/", host.address);
    let mut routed = fuzz(url.clone(), "app.localhost", &cases).await;

    let passed = alone.values().filter(|result| passes(result)).count();
    assert!(passed > 200 && passed * 20 > alone.len() * 19, "{passed} of {}", alone.len());
    assert!(alone.keys().eq(routed.keys()));
    let worse = |routed: &Results| -> Vec<String> {
        let cases = alone.iter().filter(|(case, result)| passes(result) && !passes(&routed[*case]));
        cases.map(|(case, _)| case.clone()).collect()
    };
    let again = worse(&routed);
    if !again.is_empty() {
        // Many have a second, which a busy machine may miss once.
        routed.extend(fuzz(url, "app.localhost", &again.join(" ")).await);
    }
    let worse = worse(&routed);
    let results: Vec<_> = worse.iter().map(|case| (case, &alone[case], &routed[case])).collect();
    assert!(worse.is_empty(), "{results:?}");
    println!("{} cases, {passed} pass alone, and all of them through the router", alone.len());
}
