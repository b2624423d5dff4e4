use super::*;

const SHAPE: &str = "0123456789abcdef";
const OTHER: &str = "fedcba9876543210";

struct Fixture {
    directory: tempfile::TempDir,
    files: Files,
}

fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let files = Files::open(directory.path().join("code")).unwrap();
    Fixture { directory, files }
}

impl Fixture {
    fn install(&self, component: &str, shape: &str, days: u64) -> PathBuf {
        let path = self.files.path(Digest::of(component.as_bytes()), shape);
        let written = self.files.temporary().unwrap();
        std::fs::write(&written, [7; 100]).unwrap();
        self.files.install(written, &path).unwrap();
        let record = File::options().write(true).open(path.with_extension(RECORD)).unwrap();
        record.set_modified(SystemTime::now() - Duration::from_secs(days * 24 * 3600)).unwrap();
        path
    }

    fn prune(&self, keep: Keep, mapped: &[&PathBuf]) -> u64 {
        let mapped = mapped.iter().map(|path| (*path).clone()).collect();
        self.files.prune(SHAPE, keep, &mapped).unwrap()
    }
}

/// Writes to a file at a later tick of the file system's clock, which may be coarse.
pub(crate) fn write_later(path: &Path, content: &[u8]) {
    let changed = || path.metadata().map(|file| (file.ctime(), file.ctime_nsec())).unwrap();
    let before = changed();
    while changed() == before {
        std::fs::write(path, content).unwrap();
    }
}

fn keep(days: u64, bytes: u64) -> Keep {
    Keep { unused: Duration::from_secs(days * 24 * 3600), bytes }
}

#[test]
fn nobody_else_may_write_to_the_directory() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = fixture();
    let mode = fixture.files.directory().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn names_tell_component_and_shape() {
    let fixture = fixture();
    let path = fixture.install("a", SHAPE, 0);
    assert_eq!(name(&path), Some((Digest::of(b"a"), SHAPE.to_owned())));
    for other in ["x.cwasm", "-.cwasm", "12-34.cwasm"] {
        assert_eq!(name(Path::new(other)), None);
    }
    let listed = fixture.files.list().unwrap();
    assert_eq!((listed.len(), listed[0].bytes), (1, 100));
}

#[test]
fn content_is_read_once_a_boot_and_whenever_the_file_was_touched() {
    let mut fixture = fixture();
    let path = fixture.install("a", SHAPE, 0);
    let verified = |fixture: &Fixture| {
        Record::read(&path).unwrap().0.verified
            == Some(fixture.files.identity(&path.metadata().unwrap()))
    };
    assert!(verified(&fixture), "the compiler's output was read when it was installed");

    // The same bytes, but somebody has written to the file.
    write_later(&path, &[7; 100]);
    assert!(!verified(&fixture));
    assert!(fixture.files.verify(&path));
    assert!(verified(&fixture));

    // Damage that kept size and modification time; the time of change cannot be kept.
    let modified = path.metadata().unwrap().modified().unwrap();
    write_later(&path, &[8; 100]);
    File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    assert!(!fixture.files.verify(&path));

    // After a power cut nothing is taken for granted.
    let path = fixture.install("b", SHAPE, 0);
    fixture.files.boot = "another".into();
    let identity = fixture.files.identity(&path.metadata().unwrap());
    assert_ne!(Record::read(&path).unwrap().0.verified.unwrap(), identity);
    assert!(fixture.files.verify(&path));
    assert_eq!(Record::read(&path).unwrap().0.verified.unwrap(), identity);
}

#[test]
fn records_are_bounded_and_rubbish_is_none() {
    let fixture = fixture();
    let path = fixture.install("a", SHAPE, 0);
    let record = Record::read(&path).unwrap().0;
    assert_eq!(Record::parse(record.render().as_bytes()), Some(record));
    for rubbish in [&b""[..], b"\n", b"sha256:12", &[0xff; 80], &[b'a'; 4096]] {
        std::fs::write(path.with_extension(RECORD), rubbish).unwrap();
        assert!(Record::read(&path).is_none());
        assert!(!fixture.files.verify(&path));
    }
}

#[test]
fn code_of_other_shapes_goes_when_it_is_not_used() {
    let fixture = fixture();
    let own = fixture.install("a", SHAPE, 100);
    let used = fixture.install("a", OTHER, 13);
    let unused = fixture.install("b", OTHER, 15);
    let mapped = fixture.install("c", OTHER, 15);
    let named_otherwise = fixture.files.directory().join("old.cwasm");
    std::fs::write(&named_otherwise, "x").unwrap();
    File::options()
        .write(true)
        .open(&named_otherwise)
        .unwrap()
        .set_modified(SystemTime::now() - Duration::from_secs(15 * 24 * 3600))
        .unwrap();
    assert_eq!(fixture.prune(keep(14, 1 << 30), &[&mapped]), 2);
    assert!(own.exists() && used.exists() && mapped.exists());
    assert!(!unused.exists() && !unused.with_extension(RECORD).exists());
    assert!(!named_otherwise.exists());

    // What a process has mapped it marks, so that others keep it.
    fixture.files.touch(&mapped);
    assert_eq!(fixture.prune(keep(14, 1 << 30), &[]), 0);
}

#[test]
fn beyond_the_limit_goes_what_was_not_used_longest() {
    let fixture = fixture();
    let [first, second, third, fourth] =
        [1, 2, 3, 4].map(|days| fixture.install(&days.to_string(), SHAPE, days));
    assert_eq!(fixture.prune(keep(14, 400), &[]), 0);
    assert_eq!(fixture.prune(keep(14, 250), &[&fourth]), 2);
    assert!(first.exists() && !second.exists() && !third.exists() && fourth.exists());
}

#[test]
fn what_killed_processes_leave_goes_after_a_day() {
    let fixture = fixture();
    let [old, new] = [0, 1].map(|_| fixture.files.temporary().unwrap().keep().unwrap());
    File::options()
        .write(true)
        .open(&old)
        .unwrap()
        .set_modified(SystemTime::now() - Duration::from_secs(25 * 3600))
        .unwrap();
    fixture.prune(keep(14, 100), &[]);
    assert!(!old.exists() && new.exists());
    assert!(fixture.directory.path().exists());
}
