use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError};

use super::{
    super::streams::{Reader, Writer},
    *,
};

#[tokio::test]
async fn bytes_beyond_the_quota_are_refused_and_said_once() {
    let mut world = World::new(&[("base", &"b".repeat(500))]);
    world.limits.dyno_disk_bytes = 1000;
    let app = world.app();
    let file = app.open("file", CREATE).await.unwrap();
    file.write(Some(0), vec![1; 600].into()).await.unwrap();
    assert_eq!(file.write(None, vec![1; 401].into()).await, Err(Errno::NoSpace));
    assert_eq!(file.set_size(1001).await, Err(Errno::NoSpace), "holes count");
    assert_eq!(file.write(Some(1 << 40), vec![1].into()).await, Err(Errno::NoSpace));
    let base = app.open("base", WRITE).await.unwrap();
    assert_eq!(base.write(None, vec![1].into()).await, Err(Errno::NoSpace), "a copy counts");
    file.write(Some(0), vec![2; 600].into()).await.unwrap();
    assert_eq!(app.with(|volume, _| volume.used().0), 600);
    file.set_size(100).await.unwrap();
    base.write(None, vec![1; 400].into()).await.unwrap();
    assert_eq!(app.with(|volume, _| volume.used().0), 1000);
    // An unlinked file counts until it is closed.
    app.with(|volume, app| volume.unlink(app, "base")).unwrap();
    assert_eq!(file.write(None, vec![1].into()).await, Err(Errno::NoSpace));
    drop(base);
    file.write(None, vec![1; 900].into()).await.unwrap();
    assert_eq!(*world.log.0.lock(), ["Disk quota of 0 MB exceeded"]);
    world
        .app()
        .open("file", CREATE)
        .await
        .unwrap()
        .write(None, vec![1; 1000].into())
        .await
        .unwrap();
}

#[tokio::test]
async fn nodes_and_names_beyond_the_quota_are_refused() {
    let mut world = World::new(&[("a/x", "x"), ("a/y", "y")]);
    world.limits.dyno_files = 100;
    let app = world.app();
    let make =
        |n: usize| app.with(|volume, app| volume.open(app, &format!("n{n}"), CREATE).map(drop));
    let files = (0..1000).take_while(|n| make(*n).is_ok()).count();
    assert_eq!(files, 49);
    assert_eq!(make(files), Err(Errno::NoSpace));
    // Changing a file of the base takes room too; removing works in full tables.
    assert_eq!(app.open("a/x", WRITE).await.unwrap().set_size(0).await.map(drop), Ok(()));
    app.with(|volume, app| {
        let full = volume.rename(app, "n0", app, "n");
        assert_eq!(full, Err(Errno::NoSpace));
        volume.unlink(app, "a/x").unwrap();
        volume.unlink(app, "a/y").unwrap();
        volume.remove_directory(app, "a").unwrap();
        for n in 0..files {
            volume.unlink(app, &format!("n{n}")).unwrap();
        }
        assert_eq!(volume.used().1, 2, "the directory, and that `a` is gone from it");
    });
    assert_eq!(world.log.0.lock().len(), 1);
}

#[tokio::test]
async fn every_kind_of_node_and_name_counts() {
    type Make = fn(&mut Volume, Ino, &str) -> Result<(), Errno>;
    let kinds: [(Make, usize); 4] = [
        (|volume, app, name| volume.create_directory(app, name), 49),
        (|volume, app, name| volume.create_symlink("x", app, name), 49),
        (|volume, app, name| volume.create_symlink(&"x".repeat(4096), app, name), 5),
        (|volume, app, name| volume.link(app, "file", Last::Stay, app, name), 96),
    ];
    for (make, expected) in kinds {
        let mut world = World::new(&[("file", "x")]);
        world.limits.dyno_files = 100;
        let app = world.app();
        let make = |n: usize| app.with(|volume, app| make(volume, app, &format!("n{n}")));
        assert_eq!((0..1000).take_while(|n| make(*n).is_ok()).count(), expected);
        assert_eq!(make(expected), Err(Errno::NoSpace));
        assert!(app.with(|volume, _| volume.used().1) <= 100);
    }
}

/// Files that this process has open under `directory`.
fn open_under(directory: &std::path::Path) -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let open = open.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
    open.filter(|path| path.starts_with(directory)).count()
}

#[tokio::test]
async fn open_files_of_a_guest_are_not_open_files_of_the_host() {
    let files: Vec<(String, String)> =
        (0..100).map(|n| (format!("f{n}"), format!("content {n}"))).collect();
    let files: Vec<(&str, &str)> =
        files.iter().map(|(path, content)| (&**path, &**content)).collect();
    let mut world = World::new(&files);
    world.limits.dyno_host_files = 3;
    let app = world.app();
    let mut open = Vec::new();
    for (path, content) in &files {
        let file = app.open(path, WRITE).await.unwrap();
        assert_eq!(read_all(&file).await, content.as_bytes());
        if open.len() % 2 == 0 {
            file.write(None, "!".into()).await.unwrap();
        }
        open.push(file);
    }
    let directory = world.directory.path();
    // One more is the lock of the node's directory.
    assert!(open_under(directory) <= 4, "{}", open_under(directory));
    for (n, file) in open.iter().enumerate() {
        let more = if n % 2 == 0 { "!" } else { "" };
        assert_eq!(read_all(file).await, format!("content {n}{more}").as_bytes());
    }
    drop(open);
    assert_eq!(open_under(directory), 1, "what is closed is closed");
}

#[tokio::test]
async fn writers_share_one_buffer() {
    let mut world = World::new(&[]);
    world.limits.dyno_write_buffer_bytes = 100_000;
    let app = world.app();
    let mut writers = Vec::new();
    for n in 0..100 {
        let file = app.open(&format!("f{n}"), CREATE).await.unwrap();
        writers.push(Writer::new(file, Some(0)));
    }
    let promised: Vec<usize> =
        writers.iter_mut().map(|writer| writer.check_write().unwrap()).collect();
    assert_eq!(promised[..3], [65_536, 34_464, 512]);
    assert_eq!(promised.iter().sum::<usize>(), 100_000 + 98 * 512);
    let more = writers[2].write(vec![1; 513].into());
    assert!(matches!(more, Err(StreamError::Trap(_))), "{more:?}");
    for (writer, promised) in writers.iter_mut().zip(promised).skip(3) {
        writer.write(vec![1; promised].into()).unwrap();
    }
    // The last one first: those before it go on though nobody waits for them.
    for writer in writers[3..].iter_mut().rev() {
        // Waits until it is written.
        writer.write_ready().await.unwrap();
    }
    drop(writers);
    let file = app.open("f99", WRITE).await.unwrap();
    assert_eq!(read_all(&file).await, [1; 512]);
    assert_eq!(Writer::new(file, None).check_write().unwrap(), 65_536, "all is given back");
}

#[tokio::test]
async fn streams_read_and_write_from_their_position() {
    let world = World::new(&[("base", "0123456789")]);
    let app = world.app();
    let file = app.open("base", WRITE).await.unwrap();
    let mut reader = Reader::new(Arc::clone(&file), 2);
    assert_eq!(reader.blocking_read(3).await.unwrap(), "234");
    assert_eq!(reader.blocking_read(100).await.unwrap(), "56789");
    assert!(matches!(reader.blocking_read(100).await, Err(StreamError::Closed)));

    let mut writer = Writer::new(Arc::clone(&file), Some(8));
    writer.blocking_write_and_flush("abc".into()).await.unwrap();
    writer.write_ready().await.unwrap();
    writer.write("def".into()).unwrap();
    writer.cancel().await;
    let mut appender = Writer::new(Arc::clone(&file), None);
    appender.blocking_write_and_flush("!".into()).await.unwrap();
    assert_eq!(get(&app, "base").await.unwrap(), "01234567abcdef!");

    let mut reader = Reader::new(file, 0);
    let mut read = Vec::new();
    loop {
        reader.ready().await;
        match reader.read(4) {
            Ok(bytes) => read.extend_from_slice(&bytes),
            Err(StreamError::Closed) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(read, b"01234567abcdef!");
}

#[tokio::test]
async fn a_failed_stream_says_why_once() {
    let mut world = World::new(&[]);
    world.limits.dyno_disk_bytes = 10;
    let app = world.app();
    let file = app.open("file", CREATE).await.unwrap();
    let mut writer = Writer::new(file, Some(0));
    match writer.blocking_write_and_flush("x".repeat(11).into()).await {
        Err(StreamError::LastOperationFailed(error)) => {
            assert_eq!(error.downcast_ref::<Errno>(), Some(&Errno::NoSpace));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(writer.check_write(), Err(StreamError::Closed)));
}
