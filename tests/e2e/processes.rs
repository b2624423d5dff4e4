//! Process types other than web: workers of each language, and release phases.

use super::support::{Postgres, Project, Redis, Server};

/// A web process for apps that are about something else.
const WEB_JS: &str =
    "require('http').createServer((q, r) => r.end('web')).listen(process.env.PORT);";

/// Counts until it is asked to end; crashes where there is a variable for it.
const WORKER_JS: &str = "
let count = 0;
if (process.env.CRASH) throw new Error('as told');
const timer = setInterval(() => console.log('job', ++count, process.argv[2]), 5);
process.on('SIGTERM', () => { console.log('asked to end'); clearInterval(timer); });
process.on('exit', (code) => console.log('exit', code));
";

async fn dynos(server: &Server, app: &str) -> Vec<(String, String)> {
    let ps = server.run(&["ps", "-a", app, "--json"]).await.ok().json();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let dynos = ps["dynos"].as_array().unwrap().iter();
    let workers = dynos.filter(|dyno| dyno["type"] != "web");
    workers.map(|dyno| (text(&dyno["name"]), text(&dyno["state"]))).collect()
}

fn up(names: &[&str]) -> Vec<(String, String)> {
    names.iter().map(|name| (name.to_string(), "up".to_owned())).collect()
}

#[tokio::test]
async fn node_workers_are_scaled_restarted_and_rest_after_crashes() {
    let server = Server::start_with(&[], &[("WPAAS_LIMIT_CRASH_REST_MS", "20")]).await;
    let project = Project::new([
        ("package.json", "{}"),
        ("Procfile", "web: node web.js\nworker: node worker.js fast\nclock: node worker.js slow\n"),
        ("web.js", WEB_JS),
        ("worker.js", WORKER_JS),
    ]);
    server.deploy(project.path(), "app").await;
    assert_eq!(dynos(&server, "app").await, [], "none until it is scaled");
    server.run(&["ps:scale", "worker=3", "-a", "app"]).await.ok();
    for number in 1..=3 {
        server.log_has("app", &format!("app[worker.{number}]: job 3 fast")).await;
    }
    assert_eq!(dynos(&server, "app").await, up(&["worker.1", "worker.2", "worker.3"]));
    server.run(&["ps:scale", "worker-2", "clock+1", "-a", "app"]).await.ok();
    server.log_has("app", "app[clock.1]: job 3 slow").await;
    for number in 2..=3 {
        let [asked, exit] =
            ["asked to end", "exit 0"].map(|text| format!("app[worker.{number}]: {text}"));
        let down = format!("heroku[worker.{number}]: State changed from up to down");
        server.log_has_in_order("app", &[&asked, &exit, &down]).await;
    }
    assert_eq!(dynos(&server, "app").await, up(&["clock.1", "worker.1"]));

    server.run(&["ps:restart", "worker.1", "-a", "app"]).await.ok();
    let again = "heroku[worker.1]: State changed from up to starting";
    server.log_has_in_order("app", &[again, "app[worker.1]: job 3 fast"]).await;
    server.run(&["ps:stop", "clock", "-a", "app"]).await.ok();
    let again = "heroku[clock.1]: State changed from up to starting";
    server.log_has_in_order("app", &[again, "app[clock.1]: job 3 slow"]).await;
    server.run(&["ps:restart", "nothing", "-a", "app"]).await.fails(1, "process type");

    server.run(&["config:set", "CRASH=1", "-a", "app"]).await.ok();
    let (crashed, again) = (
        "heroku[worker.1]: State changed from up to crashed",
        "heroku[worker.1]: State changed from crashed to starting",
    );
    let log = server.log_has_in_order("app", &[crashed, again, crashed, again, crashed]).await;
    assert!(log.contains("app[worker.1]: Error: as told"), "{log}");
    server.run(&["config:unset", "CRASH", "-a", "app"]).await.ok();
    server.run(&["ps:scale", "worker=0", "clock=0", "-a", "app"]).await.ok();
    server.log_has_in_order("app", &[crashed, "heroku[worker.1]: State changed from"]).await;
    assert_eq!(server.get("app", "/").await, (200, "web".into()));
}

#[tokio::test]
async fn python_workers_take_jobs_from_redis() {
    let redis = Redis::start().await;
    let server = Server::start_with(&["--egress-network", "127.0.0.1/32"], &[]).await;
    let project = Project::new([
        ("requirements.txt", "redis==8.1.0\n"),
        ("Procfile", "worker: python worker.py --greet hello\nput: python put.py\n"),
        (
            "worker.py",
            "import os, sys, redis\n\
             jobs = redis.from_url(os.environ['REDIS_URL'])\n\
             print('ready', os.environ['DYNO'], *sys.argv[1:], flush=True)\n\
             while True:\n    \
                 _, job = jobs.blpop(['jobs'])\n    \
                 print('job', job.decode(), flush=True)\n",
        ),
        (
            "put.py",
            "import os, sys, redis\n\
             for job in sys.argv[1:]: redis.from_url(os.environ['REDIS_URL']).rpush('jobs', job)\n",
        ),
    ]);
    server.run(&["create", "app"]).await.ok();
    server.run(&["egress:allow", "localhost:*", "-a", "app"]).await.ok();
    server.run(&["config:set", "-a", "app", &format!("REDIS_URL={}", redis.url)]).await.ok();
    server.deploy(project.path(), "app").await;
    server.run(&["ps:scale", "worker=1", "-a", "app"]).await.ok();
    server.log_has("app", "app[worker.1]: ready worker.1 --greet hello").await;
    server.run(&["run", "-a", "app", "--", "put", "one", "two words"]).await.ok();
    server
        .log_has_in_order("app", &["app[worker.1]: job one", "app[worker.1]: job two words"])
        .await;
    let run = server.run(&["run", "-a", "app", "python", "-c", "print('a; b'); exit(1)"]).await;
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), "a; b\n"), "{run:#?}");
}

#[tokio::test]
async fn rust_workers_are_programs_of_the_crate() {
    let server = Server::start().await;
    let project = Project::new([
        ("Cargo.toml", "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2021\"\n"),
        ("Cargo.lock", "version = 3\n\n[[package]]\nname = \"shop\"\nversion = \"0.1.0\"\n"),
        ("Procfile", "clock: ./target/release/shop\nworker: mail-worker --all\n"),
        (
            "src/main.rs",
            "fn main() { println!(\"tick {}\", std::env::var(\"DYNO\").unwrap()); loop \
             { std::thread::sleep(std::time::Duration::from_secs(60)) } }",
        ),
        (
            "src/bin/mail-worker.rs",
            "use std::io::Read;
             fn main() {
                 println!(\"ready {:?}\", std::env::args().skip(1).collect::<Vec<_>>());
                 std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
                 println!(\"asked to end\");
             }",
        ),
    ]);
    server.deploy(project.path(), "app").await;
    assert_eq!(server.get("app", "/").await.0, 503, "it has no web process");
    server.run(&["ps:scale", "worker=1", "clock=1", "-a", "app"]).await.ok();
    server.log_has("app", "app[clock.1]: tick clock.1").await;
    server.log_has("app", "app[worker.1]: ready [\"--all\"]").await;
    assert_eq!(dynos(&server, "app").await, up(&["clock.1", "worker.1"]));
    server.run(&["ps:scale", "worker=0", "-a", "app"]).await.ok();
    server.log_has("app", "app[worker.1]: asked to end").await;
    let run = server.run(&["run", "-a", "app", "mail-worker", "--once"]).await.ok();
    assert_eq!(run.stdout, "ready [\"--once\"]\nasked to end\n");
    server.run(&["run", "-a", "app", "bash"]).await.fails(1, "a dyno has no shell");
}

#[tokio::test]
async fn release_phases_decide_whether_a_release_goes_live() {
    let postgres = Postgres::start().await;
    let server = Server::start_with(&["--egress-network", "127.0.0.1/32"], &[]).await;
    let project = Project::new([
        ("requirements.txt", "pg8000==1.31.6\n"),
        ("Procfile", "web: python web.py\nrelease: python migrate.py\n"),
        (
            "web.py",
            "import os\nfrom wsgiref.simple_server import make_server\n\
             def app(environ, start):\n    \
                 start('200 OK', [])\n    \
                 return [os.environ.get('COLOUR', 'none').encode()]\n\
             make_server('0.0.0.0', int(os.environ['PORT']), app).serve_forever()\n",
        ),
        (
            "migrate.py",
            "import os, sys, urllib.parse\nimport pg8000.native\n\
             url = urllib.parse.urlparse(os.environ['DATABASE_URL'])\n\
             with pg8000.native.Connection(url.username, password=url.password, host=url.hostname, \
             port=url.port, database=url.path[1:]) as db:\n    \
                 db.run('CREATE TABLE IF NOT EXISTS releases (colour text)')\n    \
                 db.run('INSERT INTO releases VALUES (:c)', c=os.environ.get('COLOUR', 'none'))\n    \
                 print('releases so far:', db.run('SELECT count(*) FROM releases')[0][0])\n\
             if os.environ.get('COLOUR') == 'red': sys.exit('red is refused')\n",
        ),
    ]);
    server.run(&["create", "app"]).await.ok();
    server.run(&["egress:allow", "localhost:*", "-a", "app"]).await.ok();
    server.run(&["config:set", "-a", "app", &format!("DATABASE_URL={}", postgres.url)]).await.ok();
    let run = server.run(&["deploy", project.path().to_str().unwrap(), "-a", "app"]).await.ok();
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(said.contains("Running release v4 command...\nreleases so far: 1\n"), "{said}");
    assert_eq!(server.get("app", "/").await, (200, "none".into()));
    server.log_has("app", "]: releases so far: 1").await;

    server.run(&["config:set", "-a", "app", "COLOUR=blue"]).await.ok();
    assert_eq!(server.get("app", "/").await, (200, "blue".into()));
    let failed = server.run(&["config:set", "-a", "app", "COLOUR=red"]).await;
    failed.fails(1, "red is refused");
    assert_eq!(server.get("app", "/").await, (200, "blue".into()));
    let config = server.run(&["config:get", "COLOUR", "-a", "app"]).await.ok();
    assert_eq!(config.stdout, "blue\n");
    let releases = server.run(&["releases", "-a", "app"]).await.ok().stdout;
    assert!(releases.contains("Current: v5") && releases.contains("failed"), "{releases}");
    let output = server.run(&["releases:output", "v6", "-a", "app"]).await.ok().stdout;
    assert!(output.starts_with("releases so far: 3\nred is refused\n"), "{output}");

    project.edit("migrate.py", "== 'red'", "== 'blue'");
    let failed = server.run(&["deploy", project.path().to_str().unwrap(), "-a", "app"]).await;
    failed.fails(1, "v7 was built and could not be released");
    let back = server.run(&["rollback", "v4", "-a", "app"]).await.ok();
    assert!(format!("{}{}", back.stdout, back.stderr).contains("releases so far: 5"), "{back:#?}");
    assert_eq!(server.get("app", "/").await, (200, "none".into()));
    server.run(&["releases:verify", "-a", "app"]).await.ok();
}

#[tokio::test]
async fn a_release_phase_over_its_time_is_ended_and_leaves_the_release_before() {
    let limits = [("WPAAS_LIMIT_RELEASE_PHASE_MS", "1500")];
    let server = Server::start_with(&[], &limits).await;
    let project = Project::new([
        ("package.json", "{}"),
        ("Procfile", "web: node web.js\n"),
        (
            "web.js",
            "require('http').createServer((_, res) => res.end('one')).listen(process.env.PORT);",
        ),
        ("endless.js", "console.log('migrating'); setInterval(() => {}, 1000);"),
    ]);
    server.deploy(project.path(), "app").await;
    project.write("Procfile", "web: node web.js\nrelease: node endless.js\n");
    let directory = project.path().to_str().unwrap();
    server.run(&["deploy", directory, "-a", "app"]).await.fails(1, "Release command failed");
    let output = server.run(&["releases:output", "v3", "-a", "app"]).await;
    assert!(output.stdout.starts_with("migrating\n"), "{output:?}");
    assert_eq!(server.get("app", "/").await, (200, "one".to_owned()));
}
