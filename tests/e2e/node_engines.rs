//! Node apps on QuickJS: one instance has many requests at once.

use futures::future::join_all;

use super::support::{
    Project, Server,
    apps::{apps, works_with},
};

/// Requests that one instance has at once.
const TOGETHER: usize = 8;

/// Express 5 with routes that tell of the instance. `/together` answers when all are here, and a while later.
fn express() -> Project {
    let project = Project::new([("wpaas.toml", "[node]\nengine = \"quickjs\"\n")]);
    project.copy_from(&apps("node").join("express5"));
    let file = project.path().join("server.js");
    let source = std::fs::read_to_string(&file).unwrap();
    let routes = format!(
        "const app = express();
         const instance = String(Math.random());
         let waiting = [];
         app.get('/instance', (req, res) => res.send(instance));
         app.get('/together', async (req, res) => {{
           await new Promise((resolve) => {{
             waiting.push(resolve);
             if (waiting.length === {TOGETHER}) waiting.splice(0).forEach((here) => here());
           }});
           await new Promise((resolve) => setTimeout(resolve, 300));
           res.json({{ instance, asked: req.query.n }});
         }});
         app.get('/uncaught', () => setTimeout(() => {{ throw new Error('nobody catches this'); }}, 1));"
    );
    std::fs::write(&file, source.replace("const app = express();", &routes)).unwrap();
    project
}

#[tokio::test]
async fn requests_at_once_share_an_instance_and_each_gets_its_own_response() {
    let server = Server::start_with(&["--wasi-p3"], &[]).await;
    server.deploy(express().path(), "app").await;
    let (_, instance) = server.get("app", "/instance").await;
    let requests = (0..TOGETHER).map(async |n| {
        let (status, text) = server.get("app", &format!("/together?n={n}")).await;
        assert_eq!(status, 200, "{text}\n{}", server.run(&["logs", "-a", "app"]).await.ok().stdout);
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    });
    for (n, answer) in join_all(requests).await.into_iter().enumerate() {
        let expected = serde_json::json!({ "instance": instance, "asked": n.to_string() });
        assert_eq!(answer, expected);
    }
    // As in Node, an error that nobody catches ends the process; the next request gets a new one.
    assert_eq!(server.get("app", "/uncaught").await.0, 503);
    server.log_has("app", "Uncaught Error: nobody catches this").await;
    let (status, next) = server.get("app", "/instance").await;
    assert_eq!(status, 200, "{next}\n{}", server.run(&["logs", "-a", "app"]).await.ok().stdout);
    assert_ne!(next, instance);
}

#[tokio::test]
async fn an_app_that_does_not_start_or_does_not_listen_is_told_so() {
    let server = Server::start_with(&["--wasi-p3"], &[]).await;
    let failing = |source: &'static str| {
        Project::new([
            ("package.json", "{}"),
            ("Procfile", "web: node server.js\n"),
            ("wpaas.toml", "[node]\nengine = \"quickjs\"\n"),
            ("server.js", source),
        ])
    };
    server.deploy(failing("setTimeout(() => {}, 1);").path(), "silent").await;
    for _ in 0..2 {
        assert_eq!(server.get("silent", "/").await.0, 503);
    }
    server.log_has("silent", "The process ended without listening on $PORT").await;
    server.log_has("silent", "code=H10").await;
}

macro_rules! apps {
    ($($test:ident: $name:literal,)*) => {
        $(#[tokio::test]
        async fn $test() {
            works_with("node", $name, &["--wasi-p3"], &["WPAAS_JS_ENGINE=quickjs"]).await;
        })*
    };
}

// Those that make no HTTP requests of their own, which this engine cannot.
apps! {
    express_5: "express5",
    express_4_with_its_middleware: "express4",
    fastify: "fastify",
    hono_in_typescript: "hono-ts",
    hono_as_fetch_handler: "hono-fetch",
    express_with_postgres_and_redis: "pg-redis",
}
