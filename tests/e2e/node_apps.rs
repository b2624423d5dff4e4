//! Ordinary Node apps, deployed with their usual source and lockfile, answer as they do on Node.js. Each is a directory
//! in `tests/apps/node`, the table of its requests the JSON file beside it; the stack's own tests compare the same
//! answers with Node's.

use futures::StreamExt;

use super::support::{
    Project, Server,
    apps::{apps, with_tables, works},
};

macro_rules! apps {
    ($($test:ident: $name:literal,)*) => {
        $(#[tokio::test]
        async fn $test() {
            works("node", $name).await;
        })*

        const TESTED: &[&str] = &[$($name),*];
    };
}

apps! {
    node_http: "node-http",
    express_5: "express5",
    express_4_with_its_middleware: "express4",
    koa: "koa",
    fastify: "fastify",
    hono_in_typescript: "hono-ts",
    hono_as_fetch_handler: "hono-fetch",
    graphql_yoga: "graphql-yoga",
    trpc: "trpc",
    nestjs: "nest",
    squint: "squint",
    cherry: "cherry",
    express_with_postgres_and_redis: "pg-redis",
    express_with_mysql: "mysql",
}

#[test]
fn every_app_is_tested() {
    let mut tested = TESTED.to_vec();
    tested.sort_unstable();
    assert_eq!(with_tables("node"), tested);
}

/// Requests to one app whose instances may use little memory: several times what an instance takes.
const REQUESTS: usize = 4_000;
const AT_A_TIME: usize = 4;

#[tokio::test]
async fn instances_are_replaced_before_their_memory_is_used_up_and_no_request_fails() {
    // An instance of this app begins with some 40 MB and keeps 32 KB of each request, as one with a leak does.
    let limits = [
        ("WPAAS_LIMIT_INSTANCE_RECYCLE_MEMORY_BYTES", "54000000"),
        ("WPAAS_LIMIT_DYNO_MEMORY_BYTES", "80000000"),
    ];
    let server = Server::start_with(&[], &limits).await;
    let project = Project::new([]);
    project.copy_from(&apps("node").join("express5"));
    let file = project.path().join("server.js");
    let source = std::fs::read_to_string(&file).unwrap();
    // Before the app listens, and so before its last handlers.
    let source = source.replace(
        "const app = express();",
        "const app = express();\nconst instance = Math.random();\nconst kept = [];\n\
         app.get('/instance', (req, res) => {\n\
           kept.push(Buffer.alloc(32768, 1));\n\
           res.send(String(instance));\n\
         });",
    );
    std::fs::write(&file, source).unwrap();
    server.deploy(project.path(), "app").await;
    let instances = futures::stream::iter(0..REQUESTS)
        .map(|_| async {
            let (status, text) = server.get("app", "/instance").await;
            assert_eq!(status, 200, "{text}");
            text
        })
        .buffer_unordered(AT_A_TIME)
        .collect::<std::collections::BTreeSet<String>>()
        .await;
    assert!(instances.len() > AT_A_TIME, "only {} instances answered", instances.len());
    let log = server.run(&["logs", "-a", "app", "-n", "1500"]).await.ok().stdout;
    assert!(!log.contains("Error R14") && !log.contains("at=error"), "{log}");
}
