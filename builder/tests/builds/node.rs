//! Node.js apps with real npm. The stack is installed at the first run on a machine.

use std::{fs, path::Path};

use wpaas_builder::{Kind, Output};
use wpaas_slug::{ComponentRef, World};

use crate::support::{Files, Outcome, Platform, files, tree};

const SERVER: &[u8] = b"require('node:http').createServer((req, res) => res.end('hello'))\
                        .listen(process.env.PORT);\n";

fn example(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

fn ran(outcome: &Outcome, step: &str) -> bool {
    let built = outcome.result.as_ref().unwrap();
    built.steps.iter().any(|(name, _)| name == step)
}

#[tokio::test]
async fn express_builds_and_a_change_installs_nothing() {
    let platform = Platform::new();
    let first = platform.build("one", &example("node-express")).await;
    for line in [
        "-----> Node.js app detected",
        "-----> Installing dependencies",
        "       added ",
        "-----> Bundling",
        "       Procfile declares types -> web",
    ] {
        assert!(first.printed(line), "{line}: {first:#?}");
    }
    assert!(ran(&first, "npm ci"));
    let first = first.built();
    let web = &first.slug.config.processes["web"];
    assert_eq!((&web.component, web.world), (&ComponentRef::Stack, World::Http));
    assert_eq!(web.args, ["/app/.wpaas/web.cjs", "node", "/app/server.js"]);
    assert_eq!(first.slug.config.stack.as_deref(), Some("node-20"));
    assert!(first.slug.config.size() < 2 * 1024 * 1024, "{}", first.slug.config.size());
    let names = files(&first.slug);
    assert!(names.contains(&".wpaas/web.cjs") && names.contains(&"public/style.css"), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("node_modules")), "{names:?}");
    let stack = first.stack.unwrap();
    assert!(platform.store.has(stack.component).await.unwrap());

    // Another app with the same source, in other directories: the same slug.
    let other = platform.build("two", &example("node-express")).await.built();
    assert_eq!(other.slug.digest, first.slug.digest);
    assert_eq!(other.written.new_blobs, 0);

    let changed = tempfile::tempdir().unwrap();
    wpaas_builder::source::copy(&example("node-express"), changed.path(), &Default::default())
        .unwrap();
    let server = changed.path().join("server.js");
    let text = fs::read_to_string(&server).unwrap() + "\nconsole.log('one more line');\n";
    fs::write(server, text).unwrap();
    let changed = platform.build("one", changed.path()).await;
    assert!(!ran(&changed, "npm ci"), "{changed:#?}");
    assert!(changed.printed("the lockfile did not change"));
    let changed = changed.built();
    assert_ne!(changed.slug.digest, first.slug.digest);
    assert_eq!(changed.written.new_blobs, 2 + 2, "source, bundle, two documents");
}

#[tokio::test]
async fn build_scripts_run_with_config_vars_and_make_the_entry() {
    let platform = Platform::new();
    let package = br#"{"scripts": {
        "heroku-prebuild": "echo before $GREETING",
        "db:migrate": "node src/migrate.js --all",
        "test": "node src/migrate.js",
        "lint": "eslint .",
        "build": "mkdir -p dist && cp src/server.js dist/ && echo made > dist/made.txt",
        "start": "NODE_ENV=production node --enable-source-maps dist/server --flag"}}"#;
    let app = tree(&[
        ("package.json", package),
        (".gitignore", b"dist\n"),
        ("src/server.js", SERVER),
        ("src/migrate.js", b"console.log('migrated');\n"),
        ("Procfile", b"web: npm start\nworker: node src/server.js\n"),
    ]);
    let outcome = platform
        .build_with("app", app.path(), |request| {
            request.env.insert("GREETING".into(), "hello".into());
        })
        .await;
    assert!(outcome.printed("       before hello"), "{outcome:#?}");
    assert!(outcome.printed(" !     web: NODE_ENV=production in"), "{outcome:#?}");
    assert!(!ran(&outcome, "npm ci"), "it has no dependencies");
    let built = outcome.built();
    let processes = &built.slug.config.processes;
    assert_eq!(processes["web"].args[2..], ["/app/dist/server.js", "--flag"]);
    assert!(files(&built.slug).contains(&"dist/made.txt"));
    let worker = &processes["worker"];
    assert_eq!(worker.world, World::Cli);
    assert_eq!(worker.args, ["/app/.wpaas/worker.cjs", "node", "/app/src/server.js"]);
    // What `node FILE` finds in a one-off dyno: the files of the processes, and those of package.json's scripts.
    let entries = built.slug.config.files.iter().find(|file| file.path == ".wpaas/entries.json");
    let entries = platform.store.get(entries.unwrap().digest, 4096).await.unwrap();
    let entries: serde_json::Value = serde_json::from_slice(&entries).unwrap();
    assert_eq!(
        entries,
        serde_json::json!({
            "/app/dist/server.js": "/app/.wpaas/web.cjs",
            "/app/src/migrate.js": "/app/.wpaas/script.db_migrate.cjs",
            "/app/src/server.js": "/app/.wpaas/worker.cjs",
        })
    );
}

#[tokio::test]
async fn failing_steps_show_their_output() {
    let platform = Platform::new();
    let script = br#"{"scripts": {"build": "echo 'src/x.ts(1,1): error' >&2; exit 2"}}"#;
    let unsynced = br#"{"dependencies": {"left-pad": "1.3.0"}}"#;
    let lock = br#"{"name": "x", "lockfileVersion": 3, "packages": {"": {"name": "x"}}}"#;
    let missing = b"require('not-installed-anywhere');\n";
    let cases: [(Files<'_>, &str, &str); 3] = [
        (&[("package.json", script), ("server.js", SERVER)], "`npm run build`", "src/x.ts(1,1)"),
        (
            &[("package.json", unsynced), ("package-lock.json", lock), ("server.js", SERVER)],
            "`npm ci`",
            "npm error",
        ),
        (
            &[("package.json", b"{}"), ("server.js", missing)],
            "`bundling server.js`",
            "not-installed-anywhere",
        ),
    ];
    for (source, command, shown) in cases {
        let outcome = platform.build("app", tree(source).path()).await;
        assert!(outcome.printed(shown), "{outcome:#?}");
        let error = outcome.error();
        assert_eq!(error.kind(), Kind::BuildFailed, "{error}");
        assert!(error.to_string().contains(command), "{error}");
    }
}

#[tokio::test]
async fn mistakes_are_told_before_anything_is_installed() {
    let platform = Platform::new();
    let deps = br#"{"scripts": {"start": "node server.js"}, "dependencies": {"express": "5"}}"#;
    let cases: [(Files<'_>, Kind, &str); 7] = [
        (
            &[("package.json", b"{\n  \"name\": x\n}")],
            Kind::PackageJson,
            "package.json line 2, column",
        ),
        (&[("package.json", deps)], Kind::MissingLockfile, "package-lock.json is missing: run"),
        (
            &[("package.json", deps), ("bun.lock", b"")],
            Kind::MissingLockfile,
            "bun is not supported",
        ),
        (&[("package.json", b"{}")], Kind::PackageJson, "nothing says how to start the app"),
        (
            &[("package.json", b"{}"), ("Procfile", b"web: npx serve")],
            Kind::Command,
            "process type web cannot run \"npx serve\"",
        ),
        (
            &[("package.json", b"{}"), ("Procfile", b"web: npm start")],
            Kind::Command,
            "no script \"start\"",
        ),
        (
            &[("package.json", br#"{"scripts": {"start": "tsc && node x.js"}}"#)],
            Kind::Command,
            "no shell for '&'",
        ),
    ];
    for (source, kind, says) in cases {
        let outcome = platform.build("app", tree(source).path()).await;
        assert!(!outcome.printed("Node.js app detected"), "{outcome:#?}");
        let error = outcome.error();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    let absent = tree(&[("package.json", b"{}"), ("Procfile", b"web: node absent.js")]);
    let error = platform.build("app", absent.path()).await.error();
    assert_eq!(error.kind(), Kind::Command);
    assert!(error.to_string().contains("no file \"absent.js\""), "{error}");
}

/// What apps of another package manager run: the one dependency, the other only at build.
const USES_BOTH: &[u8] = b"const ms = require('ms');\
    require('node:http').createServer((req, res) => res.end(ms(req.url))).listen(process.env.PORT);\n";

async fn builds_with(lockfile: &str, content: &[u8], tool: &str) {
    let platform = Platform::new();
    let package = r#"{"name": "a", "private": true, "engines": {"node": "<20"},
        "scripts": {"start": "node server.js", "build": "TOOL --version > version.txt && node build.js"},
        "dependencies": {"ms": "2.1.3"}, "devDependencies": {"is-odd": "3.0.1"}}"#;
    let package = package.replace("TOOL", tool.split(' ').next().unwrap());
    let app = tree(&[
        ("package.json", package.as_bytes()),
        (lockfile, content),
        ("build.js", b"if (!require('is-odd')(3)) process.exit(1);\n"),
        ("server.js", USES_BOTH),
    ]);
    let first = platform.build("app", app.path()).await;
    assert!(first.printed(&format!("and {tool}, for the node-20 stack")), "{first:#?}");
    assert!(first.printed("package.json asks for Node.js <20"), "{first:#?}");
    assert!(ran(&first, "install"));
    let built = first.built();
    let names = files(&built.slug);
    assert!(!names.iter().any(|name| name.contains("node_modules")), "{names:?}");
    assert!(names.contains(&"version.txt") && names.contains(&".wpaas/web.cjs"), "{names:?}");

    let again = platform.build("app", app.path()).await;
    assert!(again.printed("the lockfile did not change") && !ran(&again, "install"), "{again:#?}");
    assert_eq!(again.built().slug.digest, built.slug.digest);

    // As on Heroku, so the build's own script fails.
    let variable =
        if tool.starts_with("pnpm") { "NPM_CONFIG_PRODUCTION" } else { "YARN_PRODUCTION" };
    let production = platform
        .build_with("other", app.path(), |request| {
            request.env.insert(variable.into(), "true".into());
        })
        .await;
    assert!(production.printed("Cannot find module 'is-odd'"), "{production:#?}");

    // The lockfile is the law.
    let changed = package.replace("2.1.3", "2.1.2");
    fs::write(app.path().join("package.json"), changed).unwrap();
    let error = platform.build("app", app.path()).await.error();
    assert_eq!(error.kind(), Kind::BuildFailed, "{error}");
    assert!(error.to_string().contains("install"), "{error}");
}

#[tokio::test]
async fn yarn_1() {
    builds_with("yarn.lock", include_bytes!("locks/yarn-1.lock"), "yarn 1.22.22").await;
}

#[tokio::test]
async fn yarn_4() {
    builds_with("yarn.lock", include_bytes!("locks/yarn-4.lock"), "yarn 4.18.1").await;
}

#[tokio::test]
async fn pnpm() {
    builds_with("pnpm-lock.yaml", include_bytes!("locks/pnpm-lock.yaml"), "pnpm 10.34.8").await;
}

#[tokio::test]
async fn scripts_run_in_herokus_order() {
    let platform = Platform::new();
    let step = |name: &str| format!("\"{name}\": \"echo {name} >> order.txt\"");
    let scripts = |names: &[&str]| {
        let steps: Vec<String> = names.iter().map(|name| step(name)).collect();
        format!("{{\"scripts\": {{\"start\": \"node server.js\", {}}}}}", steps.join(", "))
    };
    for (names, order) in [
        (&["build", "heroku-prebuild"][..], "heroku-prebuild build"),
        (&["build", "heroku-postbuild", "heroku-cleanup"], "heroku-postbuild heroku-cleanup"),
    ] {
        let package = scripts(names);
        let app = tree(&[("package.json", package.as_bytes()), ("server.js", SERVER)]);
        let built = platform.build("app", app.path()).await.built();
        let file = built.slug.config.files.iter().find(|file| file.path == "order.txt").unwrap();
        let text = platform.store.get(file.digest, 1024).await.unwrap();
        let ran: Vec<&str> = std::str::from_utf8(&text).unwrap().lines().collect();
        assert_eq!(ran.join(" "), order);
    }
}

#[tokio::test]
async fn a_stack_is_installed_once() {
    let platform = Platform::new();
    let (elsewhere, silent) = (Platform::new(), Output::silent());
    let (one, other) = tokio::join!(
        platform.builder.ensure_stack("node-20", &silent),
        elsewhere.builder.ensure_stack("node-20", &silent),
    );
    let stack = one.unwrap();
    assert_eq!(stack, other.unwrap());
    assert!(platform.store.has(stack.component).await.unwrap());

    let output = Output::new(|line| panic!("nothing is left to do, but it says {line}"));
    assert_eq!(platform.builder.ensure_stack("node-20", &output).await.unwrap(), stack);
    let error = platform.builder.ensure_stack("cobol-1", &silent).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Toolchain);
    assert!(error.to_string().contains("no such stack: cobol-1"), "{error}");
}
