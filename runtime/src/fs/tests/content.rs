use super::{super::paths::NewTimes, *};

#[tokio::test]
async fn a_dyno_sees_its_own_changes_and_no_other_does() {
    let world = World::new(&[("index.js", "original"), ("same.js", "original")]);
    let (one, two) = (world.app(), world.app());
    assert_eq!(world.host_files().len(), 0);
    put(&one, "index.js", "changed").await.unwrap();
    let file = one.open("same.js", WRITE).await.unwrap();
    file.write(Some(2), "I".into()).await.unwrap();
    file.write(None, "!".into()).await.unwrap();
    assert_eq!(get(&one, "index.js").await.unwrap(), "changed");
    assert_eq!(get(&one, "same.js").await.unwrap(), "orIginal!");
    one.with(|volume, app| volume.unlink(app, "same.js")).unwrap();
    put(&one, "new.js", "new").await.unwrap();
    assert_eq!(list(&one), "index.js new.js");

    assert_eq!(list(&two), "index.js same.js");
    for path in ["index.js", "same.js"] {
        assert_eq!(get(&two, path).await.unwrap(), "original");
    }
    let blob = world.directory.path().join(Digest::of(b"original").hex());
    assert_eq!(std::fs::read(blob).unwrap(), b"original");
    assert!(world.host_files().iter().all(|name| name.parse::<u64>().is_ok()));
}

#[tokio::test]
async fn sizes_and_zeros() {
    let world = World::new(&[("base", "0123456789")]);
    let app = world.app();
    let file = app.open("base", WRITE).await.unwrap();
    // None of this needs the disk.
    file.set_size(4).await.unwrap();
    assert_eq!(get(&app, "base").await.unwrap(), "0123");
    file.set_size(6).await.unwrap();
    assert_eq!(get(&app, "base").await.unwrap(), "0123\0\0");
    assert_eq!(world.host_files().len(), 0);
    file.write(Some(5), "x".into()).await.unwrap();
    assert_eq!(get(&app, "base").await.unwrap(), "0123\0x");
    // What was cut off does not come back.
    file.set_size(1).await.unwrap();
    file.set_size(3).await.unwrap();
    assert_eq!(get(&app, "base").await.unwrap(), "0\0\0");
    file.write(Some(100_000), "end".into()).await.unwrap();
    let content = read_all(&file).await;
    assert_eq!(
        (content.len(), &content[..3], &content[100_000..]),
        (100_003, &b"0\0\0"[..], &b"end"[..])
    );
    assert!(content[3..100_000].iter().all(|byte| *byte == 0));
    assert_eq!(app.with(|volume, _| volume.used().0), 100_003);
    assert_eq!(file.set_size(u64::MAX).await, Err(Errno::FileTooLarge));
    assert_eq!(file.write(Some(u64::MAX), "x".into()).await, Err(Errno::FileTooLarge));
    assert_eq!(file.write(Some(i64::MAX as u64), "x".into()).await, Err(Errno::FileTooLarge));
}

#[tokio::test]
async fn a_file_without_a_name_lives_while_it_is_open() {
    let world = World::new(&[("base", "of the base")]);
    let app = world.app();
    put(&app, "own", "of the dyno").await.unwrap();
    let base = app.open("base", WRITE).await.unwrap();
    let own = app.open("own", WRITE).await.unwrap();
    app.with(|volume, app| {
        volume.link(app, "own", Last::Stay, app, "other").unwrap();
        for path in ["base", "own", "other"] {
            volume.unlink(app, path).unwrap();
        }
    });
    assert_eq!(list(&app), "");
    base.write(None, "!".into()).await.unwrap();
    own.write(None, "!".into()).await.unwrap();
    assert_eq!(read_all(&base).await, b"of the base!");
    assert_eq!(read_all(&own).await, b"of the dyno!");
    assert_eq!(app.with(|volume, _| volume.used().0), 24);
    drop((base, own));
    // What is left are the directory, which has changed, and that it hides a file of the base.
    assert_eq!(app.with(|volume, _| volume.used()), (0, 2));
    while !world.host_files().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn all_names_of_a_file_are_one_file() {
    let world = World::new(&[("base", "1")]);
    let app = world.app();
    app.with(|volume, app| volume.link(app, "base", Last::Stay, app, "link")).unwrap();
    let base = app.open("base", WRITE).await.unwrap();
    base.write(None, "2".into()).await.unwrap();
    assert_eq!(get(&app, "link").await.unwrap(), "12");
    assert_eq!(app.open("link", READ).await.unwrap().ino(), base.ino());
    assert_eq!(base.with(|volume, ino| volume.stat(ino)).unwrap().links, 2);
    put(&app, "new", "3").await.unwrap();
    app.with(|volume, app| volume.rename(app, "new", app, "base")).unwrap();
    assert_eq!(get(&app, "base").await.unwrap(), "3");
    assert_eq!(get(&app, "link").await.unwrap(), "12");
    assert_eq!(base.with(|volume, ino| volume.stat(ino)).unwrap().links, 1);
}

#[tokio::test]
async fn a_damaged_blob_is_an_error_and_no_zeros() {
    let world = World::new(&[("file", "content")]);
    let app = world.app();
    let blob = world.directory.path().join(Digest::of(b"content").hex());
    std::fs::write(&blob, "").unwrap();
    assert_eq!(get(&app, "file").await, Err(Errno::Io));
    let file = app.open("file", WRITE).await.unwrap();
    assert_eq!(file.write(None, "x".into()).await, Err(Errno::Io));
    std::fs::write(&blob, "content").unwrap();
    file.write(Some(0), "x".into()).await.unwrap();
    assert_eq!(&read_all(&file).await[..7], b"xontent");
    std::fs::remove_file(&blob).unwrap();
    assert_eq!(get(&world.app(), "file").await, Err(Errno::Io));
}

#[tokio::test]
async fn times_are_kept_and_changed() {
    let world = World::new(&[("file", "content")]);
    let app = world.app();
    let file = app.open("file", WRITE).await.unwrap();
    let stat = || file.with(|volume, ino| volume.stat(ino)).unwrap();
    let before = stat();
    let year = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let times = NewTimes { accessed: None, modified: Some(year) };
    file.with(|volume, ino| volume.set_times(ino, times)).unwrap();
    assert_eq!((stat().times.modified, stat().times.accessed), (year, before.times.accessed));
    assert_eq!(stat().size, 7, "the content is still the base's");
    file.write(None, "x".into()).await.unwrap();
    assert!(stat().times.modified > year);
}
