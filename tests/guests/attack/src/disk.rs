//! Routes that change the file system.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::{Error, Read, Result, Seek, SeekFrom, Write};

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags};

use crate::http::Request;

thread_local! {
    static KEPT: RefCell<Vec<Descriptor>> = const { RefCell::new(Vec::new()) };
}

fn answer(result: Result<String>) -> String {
    result.unwrap_or_else(|error| format!("refused: {error}"))
}

/// `/fs/OPERATION`.
pub fn operate(operation: &str, request: &Request) -> String {
    let path = request.text("path");
    let to = request.text("to");
    answer(match operation {
        "put" => fs::write(&path, request.text("text")).map(|()| "put".to_owned()),
        "append" => append(&path, &request.text("text")),
        "rename" => fs::rename(&path, &to).map(|()| "renamed".to_owned()),
        "link" => fs::hard_link(&path, &to).map(|()| "linked".to_owned()),
        "mkdir" => fs::create_dir(&path).map(|()| "made".to_owned()),
        "rmdir" => fs::remove_dir(&path).map(|()| "removed".to_owned()),
        "rm" => fs::remove_file(&path).map(|()| "removed".to_owned()),
        "grow" => grow(&path, request.number("bytes").unwrap_or(0)),
        "unlinked" => unlinked(&path),
        "round-trip" => round_trip(&path),
        "fill" => Ok(fill(&path)),
        "open" => Ok(open(&path, &to, request.number("n").unwrap_or(1))),
        "at" => return at(&path, &to),
        _ => return "no such operation".to_owned(),
    })
}

fn append(path: &str, text: &str) -> Result<String> {
    let mut file = OpenOptions::new().append(true).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok("appended".to_owned())
}

fn grow(path: &str, bytes: u64) -> Result<String> {
    OpenOptions::new().write(true).create(true).truncate(false).open(path)?.set_len(bytes)?;
    Ok(fs::metadata(path)?.len().to_string())
}

/// Goes on with a file whose name is gone.
fn unlinked(path: &str) -> Result<String> {
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    fs::remove_file(path)?;
    file.seek(SeekFrom::End(0))?;
    file.write_all(b" and more")?;
    file.seek(SeekFrom::Start(0))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// What a program does with files, in a new directory.
fn round_trip(directory: &str) -> Result<String> {
    let check = |good: bool, what: &str| if good { Ok(()) } else { Err(Error::other(what)) };
    let name = |name: &str| format!("{directory}/{name}");
    fs::create_dir_all(name("a/b"))?;
    let content: Vec<u8> = (0..200_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    fs::write(name("a/b/file"), &content)?;
    check(fs::read(name("a/b/file"))? == content, "content")?;
    check(fs::metadata(name("a/b/file"))?.len() == 200_000, "length")?;
    check(fs::copy(name("a/b/file"), name("copy"))? == 200_000, "copy")?;
    fs::rename(name("a/b/file"), name("moved"))?;
    check(fs::metadata(name("a/b/file")).is_err(), "moved")?;
    check(fs::read(name("moved"))? == content, "content after moving")?;

    let mut file = OpenOptions::new().read(true).write(true).open(name("moved"))?;
    file.seek(SeekFrom::Start(100_000))?;
    file.write_all(b"middle")?;
    file.seek(SeekFrom::Start(99_999))?;
    let mut read = [0; 8];
    file.read_exact(&mut read)?;
    check(&read[1..7] == b"middle" && read[0] == content[99_999], "middle")?;
    file.set_len(10)?;
    file.set_len(20)?;
    check(fs::read(name("moved"))?[10..] == [0; 10], "zeros")?;
    let when = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_234_567_890);
    file.set_modified(when)?;
    check(fs::metadata(name("moved"))?.modified()? == when, "time")?;
    drop(file);

    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = if entry.file_type()?.is_dir() { "/" } else { "" };
        names.push(format!("{}{kind}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    check(names == ["a/", "copy", "moved"], &format!("names: {names:?}"))?;
    fs::remove_dir_all(directory)?;
    check(fs::metadata(directory).is_err(), "removed")?;
    Ok("ok".to_owned())
}

/// Makes files in a directory until the host has enough of it.
fn fill(directory: &str) -> String {
    for number in 0_u64.. {
        if let Err(error) = File::create(format!("{directory}/{number}")) {
            return format!("{number} made, refused: {error}");
        }
    }
    String::new()
}

/// Opens `path` of the directory `mount` `n` times, reads a byte of each, and keeps them. Libraries would
/// open some hundred at most.
fn open(path: &str, mount: &str, n: u64) -> String {
    let Some(directory) = directory(mount) else { return "refused: no such directory".to_owned() };
    for number in 0..n {
        let (follow, nothing) = (PathFlags::SYMLINK_FOLLOW, OpenFlags::empty());
        let opened = directory.open_at(follow, path, nothing, DescriptorFlags::READ);
        match opened.and_then(|file| file.read(1, 0).map(|_| file)) {
            Ok(file) => KEPT.with_borrow_mut(|kept| kept.push(file)),
            Err(code) => return format!("{number} open, refused: {}", code.name()),
        }
    }
    format!("{n} open")
}

/// The directory that the host gives for `mount`.
pub fn directory(mount: &str) -> Option<Descriptor> {
    get_directories().into_iter().find(|(_, name)| name == mount).map(|(directory, _)| directory)
}

/// Reads `path` of the directory `mount` through the raw interface, which no library looks at first.
fn at(path: &str, mount: &str) -> String {
    let Some(directory) = directory(mount) else { return "refused: no such directory".to_owned() };
    let opened = directory.open_at(
        PathFlags::SYMLINK_FOLLOW,
        path,
        OpenFlags::empty(),
        DescriptorFlags::READ,
    );
    match opened.and_then(|file| file.read(1000, 0)) {
        Ok((bytes, _)) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(code) => format!("refused: {}", code.name()),
    }
}
