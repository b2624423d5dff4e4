//! No request fails while releases come and go.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::support::{Project, Server};

/// Requests a second.
const RATE: u64 = 200;
/// Deploys, config changes and rollbacks.
const CHANGES: u32 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_changes_under_load_fail_no_request() {
    let server = Arc::new(Server::start().await);
    let project = Project::copy_of("component-hello");
    server.deploy(project.path(), "app").await;

    let stop = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicU64::new(0));
    let load = tokio::spawn({
        let (server, stop, sent) = (Arc::clone(&server), Arc::clone(&stop), Arc::clone(&sent));
        async move {
            let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / RATE));
            let mut requests = tokio::task::JoinSet::new();
            while !stop.load(Ordering::Relaxed) {
                ticks.tick().await;
                let request = server.request("app", "/");
                sent.fetch_add(1, Ordering::Relaxed);
                requests.spawn(async move {
                    let response = request.send().await.map_err(|error| error.to_string())?;
                    let status = response.status();
                    let body = response.text().await.map_err(|error| error.to_string())?;
                    if status == 200 { Ok(()) } else { Err(format!("{status}: {body}")) }
                });
            }
            requests.join_all().await
        }
    });

    for change in 0..CHANGES {
        match change % 5 {
            0 => {
                project.write("note.txt", &format!("change {change}"));
                server.deploy(project.path(), "app").await;
            }
            1 => drop(server.run(&["rollback", "-a", "app"]).await.ok()),
            n => {
                let variable = format!("V{n}={change}");
                server.run(&["config:set", &variable, "-a", "app"]).await.ok();
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    let results = load.await.unwrap();
    let failed: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert!(
        failed.is_empty(),
        "{} of {} failed: {:?}",
        failed.len(),
        results.len(),
        failed.first()
    );
    assert_eq!(results.len() as u64, sent.load(Ordering::Relaxed));
    assert!(results.len() as u64 > RATE, "the load ran: {}", results.len());
}
