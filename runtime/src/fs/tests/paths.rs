use super::*;

fn app() -> (World, Arc<Handle>) {
    let world = World::new(&[
        ("index.js", "index"),
        ("lib/a.js", "a"),
        ("lib/deep/b.js", "b"),
        ("public/x.css", "x"),
    ]);
    let app = world.app();
    app.with(|volume, app| {
        volume.create_symlink("lib", app, "to-lib").unwrap();
        volume.create_symlink("index.js", app, "to-index").unwrap();
        volume.create_symlink("nowhere", app, "dangling").unwrap();
        volume.create_symlink("../..", app, "lib/up").unwrap();
        volume.create_symlink("up", app, "lib/chain").unwrap();
        volume.create_symlink("loop", app, "loop").unwrap();
        volume.create_symlink("deep/../a.js", app, "lib/round").unwrap();
    });
    (world, app)
}

#[test]
fn paths_lead_where_linux_would_lead_them_and_never_outside() {
    let (_world, app) = app();
    let number = |path| app.with(|volume, app| volume.find(app, path, Last::Follow)).unwrap();
    let (index, lib, a) = (number("index.js"), number("lib"), number("lib/a.js"));
    for (path, expected) in [
        (".", Ok(APP)),
        ("./", Ok(APP)),
        ("lib/..", Ok(APP)),
        ("lib/deep/../..", Ok(APP)),
        ("index.js", Ok(index)),
        (".//./index.js", Ok(index)),
        ("to-index", Ok(index)),
        ("lib/", Ok(lib)),
        ("to-lib", Ok(lib)),
        ("to-lib/", Ok(lib)),
        ("to-lib/.", Ok(lib)),
        ("to-lib/a.js", Ok(a)),
        // Up from where the link leads, not from where it is.
        ("to-lib/../index.js", Ok(index)),
        ("lib/round", Ok(a)),
        ("", Err(Errno::NoEntry)),
        ("nothing", Err(Errno::NoEntry)),
        ("nothing/x", Err(Errno::NoEntry)),
        ("nothing/..", Err(Errno::NoEntry)),
        ("dangling", Err(Errno::NoEntry)),
        ("Index.js", Err(Errno::NoEntry)),
        ("index.js/", Err(Errno::NotDirectory)),
        ("index.js/.", Err(Errno::NotDirectory)),
        ("index.js/..", Err(Errno::NotDirectory)),
        ("to-index/", Err(Errno::NotDirectory)),
        ("to-index/x", Err(Errno::NotDirectory)),
        ("loop", Err(Errno::Loop)),
        ("loop/x", Err(Errno::Loop)),
        ("..", Err(Errno::NotPermitted)),
        ("../app", Err(Errno::NotPermitted)),
        ("lib/../..", Err(Errno::NotPermitted)),
        ("lib/../../app/index.js", Err(Errno::NotPermitted)),
        ("lib/up", Err(Errno::NotPermitted)),
        ("lib/up/etc/passwd", Err(Errno::NotPermitted)),
        ("lib/chain", Err(Errno::NotPermitted)),
        ("lib/chain/tmp", Err(Errno::NotPermitted)),
        ("/", Err(Errno::NotPermitted)),
        ("/app/index.js", Err(Errno::NotPermitted)),
        ("a\0b", Err(Errno::Invalid)),
    ] {
        let found = app.with(|volume, app| volume.find(app, path, Last::Follow));
        assert_eq!(found, expected, "{path:?}");
    }
    let stay = |path| app.with(|volume, app| volume.find(app, path, Last::Stay));
    assert_ne!(stay("to-lib"), Ok(lib));
    assert_eq!(stay("to-lib/"), Ok(lib), "a slash asks for what the link leads to");
    assert_eq!(stay("to-index/"), Err(Errno::NotDirectory));
    assert!(stay("lib/up").is_ok(), "the link itself is inside");
    // From a directory further down, its own level is the bottom.
    let up = app.with(|volume, _| volume.find(lib, "../index.js", Last::Follow));
    assert_eq!(up, Err(Errno::NotPermitted));
}

#[test]
fn long_paths_and_long_chains_are_refused() {
    let (_world, app) = app();
    let find = |path: &str| app.with(|volume, app| volume.find(app, path, Last::Follow));
    assert_eq!(find(&"x".repeat(255)), Err(Errno::NoEntry));
    assert_eq!(find(&"x".repeat(256)), Err(Errno::NameTooLong));
    assert_eq!(find(&"./".repeat(2048)), Ok(APP));
    assert_eq!(find(&"./".repeat(2049)), Err(Errno::NameTooLong));
    app.with(|volume, app| {
        let long = "x".repeat(4097);
        assert_eq!(volume.create_symlink(&long, app, "long"), Err(Errno::NameTooLong));
        assert_eq!(volume.create_symlink("/etc", app, "abs"), Err(Errno::NotPermitted));
        assert_eq!(volume.create_symlink("", app, "empty"), Err(Errno::NoEntry));
        volume.create_symlink("index.js", app, "l0").unwrap();
        for n in 1..=40 {
            volume.create_symlink(&format!("l{}", n - 1), app, &format!("l{n}")).unwrap();
        }
    });
    assert_eq!(find("l39"), find("index.js"), "40 links");
    assert_eq!(find("l40"), Err(Errno::Loop));
}

#[tokio::test]
async fn opening_asks_for_what_it_says() {
    let (_world, app) = app();
    let how = |set: fn(&mut How)| {
        let mut how = How { follow: true, ..How::default() };
        set(&mut how);
        how
    };
    let directory = how(|how| how.directory = true);
    let exclusive = how(|how| (how.create, how.exclusive, how.write) = (true, true, true));
    let truncate = how(|how| how.truncate = true);
    let no_follow = how(|how| how.follow = false);
    for (path, how, expected) in [
        ("lib", directory, Ok(())),
        ("to-lib", directory, Ok(())),
        ("index.js", directory, Err(Errno::NotDirectory)),
        ("lib", WRITE, Err(Errno::IsDirectory)),
        ("lib", CREATE, Err(Errno::IsDirectory)),
        ("lib", truncate, Err(Errno::IsDirectory)),
        (".", CREATE, Err(Errno::IsDirectory)),
        ("index.js", exclusive, Err(Errno::Exist)),
        ("dangling", exclusive, Err(Errno::Exist)),
        ("new/", CREATE, Err(Errno::IsDirectory)),
        ("no/new", CREATE, Err(Errno::NoEntry)),
        ("index.js/", READ, Err(Errno::NotDirectory)),
        ("index.js/", CREATE, Err(Errno::IsDirectory)),
        ("to-index", no_follow, Err(Errno::Loop)),
        ("to-lib", How { directory: true, ..no_follow }, Err(Errno::NotDirectory)),
        ("to-lib/", no_follow, Ok(())),
        ("x", How { directory: true, ..CREATE }, Err(Errno::Invalid)),
        ("lib/up/x", CREATE, Err(Errno::NotPermitted)),
        ("new", exclusive, Ok(())),
        ("dangling", CREATE, Ok(())),
    ] {
        assert_eq!(app.open(path, how).await.map(drop), expected, "{path:?} {how:?}");
    }
    assert!(app.open("nowhere", READ).await.is_ok(), "made through the dangling link");
}

#[tokio::test]
async fn a_directory_keeps_its_nodes_and_its_order_when_it_changes() {
    let (_world, app) = app();
    let lib = app.open("lib", READ).await.unwrap();
    let a = app.open("lib/a.js", READ).await.unwrap();
    app.with(|volume, app| volume.rename(app, "lib", app, "moved")).unwrap();
    assert_eq!(list(&app), "dangling@ index.js loop@ moved/ public/ to-index@ to-lib@");
    assert_eq!(list(&lib), "a.js chain@ deep/ round@ up@");
    assert_eq!(get(&app, "moved/deep/b.js").await.unwrap(), "b");
    assert_eq!(app.open("moved/a.js", READ).await.unwrap().ino(), a.ino());
    assert_eq!(get(&app, "to-lib/a.js").await, Err(Errno::NoEntry));
    // A parent is the one that it has now.
    app.with(|volume, app| {
        volume.create_directory(app, "lib").unwrap();
        assert_eq!(volume.rename(app, "moved", app, "moved/deep/x"), Err(Errno::Invalid));
        volume.rename(app, "moved/deep", app, "lib/deep").unwrap();
        volume.rename(app, "moved", app, "lib/deep/x").unwrap();
    });
    assert_eq!(get(&app, "lib/deep/x/a.js").await.unwrap(), "a");
    assert_eq!(list(&app), "dangling@ index.js lib/ loop@ public/ to-index@ to-lib@");
}

#[tokio::test]
async fn reading_a_directory_goes_on_while_it_changes() {
    let world = World::new(&[("b", ""), ("d", ""), ("f", "")]);
    let app = world.app();
    let next = |after: Option<&str>| {
        app.with(|volume, app| volume.entry_after(app, after).map(|entry| entry.0.to_owned()))
    };
    assert_eq!(next(None).unwrap(), "b");
    put(&app, "a", "").await.unwrap();
    put(&app, "c", "").await.unwrap();
    app.with(|volume, app| volume.unlink(app, "b")).unwrap();
    app.with(|volume, app| volume.unlink(app, "d")).unwrap();
    assert_eq!(next(Some("b")).unwrap(), "c");
    assert_eq!(next(Some("c")).unwrap(), "f");
    assert_eq!(next(Some("f")), None);
    put(&app, "d", "again").await.unwrap();
    assert_eq!(list(&app), "a c d f");
}

#[tokio::test]
async fn nothing_can_be_made_in_a_removed_directory() {
    let (_world, app) = app();
    let public = app.open("public", READ).await.unwrap();
    app.with(|volume, app| {
        volume.unlink(app, "public/x.css").unwrap();
        volume.remove_directory(app, "public").unwrap();
    });
    assert_eq!(public.with(|volume, ino| volume.stat(ino)).unwrap().links, 0);
    assert_eq!(public.open("x", CREATE).await.map(drop), Err(Errno::NoEntry));
    let made = public.with(|volume, ino| volume.create_directory(ino, "x"));
    assert_eq!(made, Err(Errno::NoEntry));
    let moved = app.with(|volume, app| volume.rename(app, "index.js", public.ino(), "x"));
    assert_eq!(moved, Err(Errno::NoEntry));
    assert_eq!(list(&public), "");
    // A new one of the same name is another one, and empty.
    app.with(|volume, app| volume.create_directory(app, "public")).unwrap();
    assert_eq!(list(&app.open("public", READ).await.unwrap()), "");
}
