use std::fs;

use super::*;

fn app(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let real = dir.path().canonicalize().unwrap();
    (dir, real)
}

fn package(scripts: &[(&str, &str)]) -> PackageJson {
    let mut package = PackageJson::default();
    package.scripts = scripts.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
    package
}

fn follow_in(scripts: &[(&str, &str)], command: &str) -> Result<Launch, String> {
    follow(Path::new("/nonexistent"), &package(scripts), command)
}

#[test]
fn commands_lead_to_a_script() {
    let scripts = &[
        ("start", "npm run serve -- --b 'c d'"),
        ("serve", "NODE_ENV=production node --enable-source-maps dist/main.js --a"),
        ("cross", "cross-env A=1 B=2 node --max-old-space-size=512 ."),
    ];
    for (command, script, args) in [
        ("node server.js", "server.js", &[][..]),
        ("node --no-warnings -- server.js x --y", "server.js", &["x", "--y"]),
        ("npm start", "dist/main.js", &["--a", "--b", "c d"]),
        ("npm --silent run serve", "dist/main.js", &["--a"]),
        ("npm run-script cross", ".", &[]),
        ("yarn start", "dist/main.js", &["--a", "--b", "c d"]),
        ("yarn serve --x", "dist/main.js", &["--a", "--x"]),
        ("pnpm run cross", ".", &[]),
        ("pnpm serve", "dist/main.js", &["--a"]),
        ("yarn node server.js x", "server.js", &["x"]),
    ] {
        let launch = follow_in(scripts, command).unwrap();
        assert_eq!(launch.script, script, "{command}");
        assert_eq!(launch.args, args, "{command}");
    }
    let warnings = follow_in(scripts, "npm run cross").unwrap().warnings;
    assert!(warnings[0].starts_with("A=1 in ") && warnings[1].starts_with("B=2 in "));
}

#[test]
fn npm_start_without_a_script_is_server_js() {
    let (_dir, dir) = app(&[("server.js", "")]);
    assert_eq!(follow(&dir, &package(&[]), "npm start").unwrap().script, "server.js");
}

#[test]
fn scripts_that_are_skipped_are_mentioned() {
    let scripts = &[("start", "node a.js"), ("prestart", "tsc")];
    let warnings = follow_in(scripts, "npm start").unwrap().warnings;
    assert!(warnings[0].contains("prestart"), "{warnings:?}");
}

#[test]
fn what_cannot_run_says_why() {
    let scripts = &[("a", "npm run b"), ("b", "npm run a"), ("dev", "nodemon x.js")];
    for (command, says) in [
        ("npm run a", "in a circle"),
        ("npm run dev", "nodemon cannot run here"),
        ("npm run nope", "no script \"nope\"; its scripts: a, b, dev"),
        ("npm test", "npm can only"),
        ("npm start", "no script \"start\""),
        ("node", "no file to run"),
        ("node -r dotenv/config x.js", "flag -r"),
        ("node --import=tsx x.ts", "flag --import=tsx"),
        ("yarn start", "no script \"start\""),
        ("pnpm add x", "pnpm can only"),
        ("bun start", "bun is not supported"),
        ("tsc && node x.js", "'&'"),
        ("node x.js --host=$HOST", "$HOST"),
        ("A=1", "names no program"),
    ] {
        let error = follow_in(scripts, command).unwrap_err();
        assert!(error.contains(says), "{command}: {error}");
    }
}

#[test]
fn files_are_found_as_node_finds_them() {
    let (_dir, dir) = app(&[
        ("package.json", r#"{"main": "./lib/main"}"#),
        ("lib/main.js", ""),
        ("server.js", ""),
        ("pkg/index.mjs", ""),
        ("pkg2/package.json", r#"{"main": "deep"}"#),
        ("pkg2/deep/index.js", ""),
    ]);
    let find = |script: &str| {
        let launch = Launch { script: script.into(), args: vec![], warnings: vec![] };
        launch.find(&dir)
    };
    for (script, file) in [
        ("server.js", "server.js"),
        ("./server", "server.js"),
        ("/app/server.js", "server.js"),
        (".", "lib/main.js"),
        ("./", "lib/main.js"),
        ("pkg", "pkg/index.mjs"),
        ("pkg2/", "pkg2/deep/index.js"),
    ] {
        assert_eq!(find(script).as_deref(), Ok(file), "{script}");
    }
    std::os::unix::fs::symlink("/etc/hostname", dir.join("out.js")).unwrap();
    for (script, says) in [
        ("absent.js", "no file \"absent.js\""),
        ("../x.js", "not a path inside"),
        ("/etc/passwd", "not a path inside"),
        ("out.js", "leads out"),
    ] {
        let error = find(script).unwrap_err();
        assert!(error.contains(says), "{script}: {error}");
    }
}
