//! Ordinary Python apps, deployed with their usual source and requirements. Each is a directory in `tests/apps/python`;
//! the table of its requests is the JSON file beside it.

use super::support::{
    Identity, Postgres, Project, Redis, Secure, Server,
    apps::{apps, with_tables, works},
};

const TESTED: &[&str] = &["fastapi", "flask", "sqlalchemy", "starlette"];

#[test]
fn every_app_is_tested() {
    assert_eq!(with_tables("python"), TESTED);
}

#[tokio::test]
async fn starlette() {
    works("python", "starlette").await;
}

/// FastAPI with pydantic 2, and TLS of its clients.
#[tokio::test]
async fn fastapi() {
    let server = works("python", "fastapi").await;
    let identity = Identity::of("localhost");
    let (secure, redis) = (Secure::start(&identity).await, Redis::with_tls(&identity).await);
    let place = format!("localhost:{}", secure.port);
    let vars = [format!("SECURE_URL=https://{place}/x"), format!("REDIS_URL={}", redis.url)];
    server.run(&["config:set", "-a", "fastapi", &vars[0], &vars[1]]).await.ok();
    let denied = server.get("fastapi", "/fetch/requests").await.1;
    assert!(denied.contains("ConnectionError"), "{denied}");
    let cache = format!("localhost:{}", redis.port);
    for place in [&place, &cache] {
        let ca = identity.authority();
        server.run(&["egress:allow", place, "--ca", ca, "-a", "fastapi"]).await.ok();
    }
    for how in ["requests", "httpx", "urllib", "httpx-async", "asyncio"] {
        let answer = server.get("fastapi", &format!("/fetch/{how}")).await;
        assert_eq!(answer, (200, "\"hello\"".to_owned()), "{how}");
    }
    assert_eq!(server.get("fastapi", "/fetch/redis").await.1, "\"True\"");

    // An authority that did not sign the certificate: the host says no, and no byte is sent.
    let other = Identity::of("localhost");
    let run = ["egress:allow", &place, "--ca", other.authority(), "-a", "fastapi"];
    server.run(&run).await.ok();
    for how in ["requests", "httpx", "urllib"] {
        let answer = server.get("fastapi", &format!("/fetch/{how}")).await.1;
        assert!(answer.contains("the host has no TLS connection"), "{how}: {answer}");
    }
    let line = format!("Connection to {place} failed in its TLS handshake: invalid peer");
    server.log_has("fastapi", &line).await;
}

#[tokio::test]
async fn sqlalchemy_with_postgres_and_redis() {
    works("python", "sqlalchemy").await;
}

#[tokio::test]
async fn flask() {
    let server = works("python", "flask").await;
    // A change of a line does not install anything.
    let project = Project::new([]);
    project.copy_from(&apps("python").join("flask"));
    project.edit("shop.py", "418", "410");
    let again = server.run(&["deploy", project.path().to_str().unwrap(), "-a", "flask"]).await.ok();
    let said = format!("{}{}", again.stdout, again.stderr);
    assert!(said.contains("the requirements did not change"), "{said}");
    assert_eq!(server.get("flask", "/teapot").await.0, 410);
    // So does a config var, which is read when the app is imported.
    server.run(&["config:set", "-a", "flask", "GREETING=changed"]).await.ok();
    assert!(server.get("flask", "/").await.1.contains("<h1>changed</h1>"));
}

#[tokio::test]
async fn django_with_its_admin() {
    django(&Server::start().await, "sqlite").await;
}

/// The backend is Django's own, over the stack's psycopg.
#[tokio::test]
async fn django_with_postgresql() {
    let identity = Identity::of("localhost");
    let postgres = Postgres::with_tls(&identity).await;
    let server = Server::start_with(&["--egress-network", "127.0.0.1/32"], &[]).await;
    server.run(&["create", "django"]).await.ok();
    let url = format!("DATABASE_URL={}?sslmode=require", postgres.url);
    server.run(&["config:set", "-a", "django", &url]).await.ok();
    let place = format!("localhost:{}", postgres.port);
    let ca = identity.authority();
    server.run(&["egress:allow", &place, "--pgtls", "--ca", ca, "-a", "django"]).await.ok();
    django(&server, "postgresql").await;

    // What insists on TLS has it, also where the host's change of the URL does not reach, and nothing else.
    server.run(&["config:set", "-a", "django", "DATABASE_TLS=1"]).await.ok();
    assert_eq!(server.get("django", "/").await.0, 200);
    server.run(&["egress:allow", &place, "-a", "django"]).await.ok();
    // It migrates when it starts, and so it crashes.
    assert_eq!(server.get("django", "/").await.0, 503);
    server.log_has("django", &format!("`wpaas egress:allow {place} --pgtls` makes it")).await;
}

async fn django(server: &Server, vendor: &str) {
    if vendor == "sqlite" {
        server.run(&["create", "django"]).await.ok();
    }
    let vars = ["config:set", "-a", "django", "SECRET_KEY=s3cret", "ADMIN_PASSWORD=pass word"];
    server.run(&vars).await.ok();
    let directory = apps("python").join("django");
    let run = server.run(&["deploy", directory.to_str().unwrap(), "-a", "django"]).await.ok();
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(said.contains("static files copied"), "{said}");
    let (status, page) = server.get("django", "/").await;
    assert!(status == 200 && page.contains("no notes in Europe/Berlin"), "{status} {page}");
    let add = server
        .request("django", "/add")
        .header("content-type", "application/x-www-form-urlencoded");
    let (client, request) = add.body("text=a%20%3Cnote%3E").build_split();
    let mut request = request.unwrap();
    *request.method_mut() = reqwest::Method::POST;
    assert_eq!(client.execute(request).await.unwrap().status(), 302);
    assert!(server.get("django", "/").await.1.contains("<p>a &lt;note&gt;</p>"));
    let (status, orm) = server.get("django", "/orm").await;
    let wanted = serde_json::json!({
        "vendor": vendor, "counts": {"kept": 1}, "bulk": ["bulk 4", "bulk 3"], "updated": 1,
        "error": if vendor == "sqlite" { "IntegrityError" } else { "UniqueViolation" },
    });
    assert_eq!((status, serde_json::from_str(&orm).ok()), (200, Some(wanted)), "{orm}");
    for file in ["/static/notes.css", "/static/admin/css/base.css"] {
        assert_eq!(server.get("django", file).await.0, 200, "{file}");
    }

    assert_eq!(server.get("django", "/admin/").await.0, 302);
    let form = server.request("django", "/admin/login/?next=/admin/").send().await.unwrap();
    let cookie = cookies(&form);
    let text = form.text().await.unwrap();
    let token = text.split("name=\"csrfmiddlewaretoken\" value=\"").nth(1).unwrap();
    let token = token.split('"').next().unwrap();
    let login = |password: &str| {
        let body =
            format!("csrfmiddlewaretoken={token}&username=admin&password={password}&next=/admin/");
        let login = server.request("django", "/admin/login/").header("cookie", &cookie);
        let login = login.header("content-type", "application/x-www-form-urlencoded").body(body);
        let (client, request) = login.build_split();
        let mut request = request.unwrap();
        *request.method_mut() = reqwest::Method::POST;
        async move { client.execute(request).await.unwrap() }
    };
    assert_eq!(login("wrong").await.status(), 200, "the form again");
    let entered = login("pass+word").await;
    assert_eq!(entered.status(), 302);
    let session = cookies(&entered);
    let admin = server.request("django", "/admin/notes/note/").header("cookie", session);
    let admin = admin.send().await.unwrap().text().await.unwrap();
    assert!(admin.contains("a &lt;note&gt;") && admin.contains("Log out"), "{admin}");
}

fn cookies(response: &reqwest::Response) -> String {
    let all = response.headers().get_all("set-cookie").iter();
    let all: Vec<&str> =
        all.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap()).collect();
    all.join("; ")
}

#[tokio::test]
async fn what_cannot_run_ends_the_build_by_name() {
    let server = Server::start().await;
    for (requirements, procfile, says) in [
        ("cryptography", "web: python app.py", "cryptography"),
        ("Flask", "web: celery worker", "there is no program celery"),
        ("Flask", "web: gunicorn app:app && true", "no shell for '&'"),
        ("Flask", "web: python nothing.py", "there is no file nothing.py"),
    ] {
        let project = Project::new([
            ("requirements.txt", requirements),
            ("Procfile", procfile),
            ("app.py", "app = None\n"),
        ]);
        let run = server.run(&["deploy", project.path().to_str().unwrap(), "-a", "broken"]).await;
        assert_ne!(run.code, Some(0), "{run:#?}");
        assert!(format!("{}{}", run.stdout, run.stderr).contains(says), "no {says:?}: {run:#?}");
    }
}
