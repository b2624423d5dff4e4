use wpaas_slug::{Store, World};

use super::*;

/// A component, if one that can do nothing.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

struct Fixture {
    _directory: tempfile::TempDir,
    cache: PathBuf,
    component: Digest,
    store: Store,
}

async fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::local(&directory.path().join("store")).unwrap();
    let (component, _) = store.put(bytes::Bytes::from_static(EMPTY)).await.unwrap();
    Fixture { cache: directory.path().join("cache"), _directory: directory, component, store }
}

impl Fixture {
    fn codes(&self, compiler: Compiler) -> CodeCache {
        let blobs = Blobs::new(self.store.clone(), &self.cache).unwrap();
        let engine = engine::on_demand(engine::Wasi::P2).unwrap();
        let limits = Arc::new(Limits::default());
        CodeCache::new(engine, self.cache.join("code"), blobs, compiler, limits).unwrap()
    }

    async fn get(&self, compiler: Compiler) -> Result<Arc<Code>, Error> {
        self.codes(compiler).get(self.component, Urgency::Now).await
    }

    /// The error of a node that has this compiler.
    async fn refused(&self, compiler: Compiler) -> Error {
        self.get(compiler).await.err().unwrap()
    }

    fn file(&self, extension: &str) -> PathBuf {
        let files = std::fs::read_dir(self.cache.join("code")).unwrap();
        let mut files = files.map(|entry| entry.unwrap().path());
        files.find(|path| path.extension().is_some_and(|found| found == extension)).unwrap()
    }

    /// Gives the component's code the name of another shape, as another version would have left it.
    fn leave_another_shape(&self) {
        for extension in ["cwasm", "sha256"] {
            let file = self.file(extension);
            let other = format!("{}-0123456789abcdef.{extension}", self.component.hex());
            std::fs::rename(&file, file.with_file_name(other)).unwrap();
        }
    }
}

/// A compiler that must not be needed.
fn none() -> Compiler {
    Compiler::Process { program: "/does/not/exist".into(), args: vec![] }
}

/// A compiler that blocks for as long as the file `gate` exists, and copies `code`. It writes a line to `log`
/// with the priority at which it was started.
fn slow(directory: &Path, code: &Path) -> Compiler {
    let (directory, code) = (directory.display(), code.display());
    let script = format!(
        "echo $WPAAS_COMPILE_NICE >> {directory}/log; \
         while [ -e {directory}/gate ]; do sleep 0.02; done; cp {code} \"$2\""
    );
    Compiler::Process {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into(), "sh".into()],
    }
}

#[tokio::test]
async fn compiles_once_and_then_maps_the_file() {
    let fixture = fixture().await;
    fixture.get(Compiler::InProcess).await.unwrap();
    fixture.get(none()).await.expect("the second node finds the file");
    let files = std::fs::read_dir(fixture.cache.join("code")).unwrap().count();
    assert_eq!(files, 2, "code and record, nothing temporary");
}

#[tokio::test]
async fn code_that_is_not_what_was_compiled_is_never_loaded() {
    let fixture = fixture().await;
    fixture.get(Compiler::InProcess).await.unwrap();
    let (code, record) = (fixture.file("cwasm"), fixture.file("sha256"));
    let original = std::fs::read(&code).unwrap();

    let mut flipped = original.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for damaged in [&flipped[..], &original[..middle], &[]] {
        files::tests::write_later(&code, damaged);
        assert!(matches!(fixture.refused(none()).await, Error::CompilerStart { .. }));
        fixture.get(Compiler::InProcess).await.unwrap();
        assert_eq!(std::fs::read(&code).unwrap(), original, "compiled again");
    }
    std::fs::write(&record, "rubbish").unwrap();
    assert!(matches!(fixture.refused(none()).await, Error::CompilerStart { .. }));
    std::fs::remove_file(&record).unwrap();
    assert!(matches!(fixture.refused(none()).await, Error::CompilerStart { .. }));
}

#[tokio::test]
async fn a_component_that_does_not_compile_leaves_nothing() {
    let fixture = fixture().await;
    let (component, _) = fixture.store.put(bytes::Bytes::from_static(b"rubbish")).await.unwrap();
    for urgency in [Urgency::Now, Urgency::Later] {
        let codes = fixture.codes(Compiler::InProcess);
        let error = codes.get(component, urgency).await.err().unwrap();
        assert!(matches!(error, Error::Compile { .. }) && error.permanent(), "{error}");
        assert_eq!(std::fs::read_dir(fixture.cache.join("code")).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn a_component_without_a_handler_is_refused_for_good() {
    let fixture = fixture().await;
    let code = fixture.get(Compiler::InProcess).await.unwrap();
    let error = code.guest(World::Http).err().unwrap();
    assert!(error.permanent());
    assert!(error.to_string().contains("wasi:http/incoming-handler"), "{error}");
}

#[tokio::test]
async fn a_component_larger_than_the_limit_is_not_even_fetched() {
    let fixture = fixture().await;
    let blobs = Blobs::new(fixture.store.clone(), &fixture.cache).unwrap();
    let limits = Arc::new(Limits { component_bytes: 7, ..Limits::default() });
    let engine = engine::on_demand(engine::Wasi::P2).unwrap();
    let codes = CodeCache::new(engine, fixture.cache.join("code"), blobs, none(), limits).unwrap();
    let error = codes.get(fixture.component, Urgency::Now).await.err().unwrap();
    assert!(error.permanent() && error.to_string().contains("limit of 7"), "{error}");
}

#[tokio::test]
async fn code_of_another_shape_is_found_and_renewed() {
    let fixture = fixture().await;
    fixture.get(Compiler::InProcess).await.unwrap();
    let codes = fixture.codes(Compiler::InProcess);
    assert!(codes.outdated().await.unwrap().is_empty());
    fixture.leave_another_shape();
    assert_eq!(codes.outdated().await.unwrap(), [fixture.component]);
    assert!(fixture.codes(Compiler::None).outdated().await.unwrap().is_empty(), "it cannot");

    codes.renew(fixture.component).await.unwrap();
    assert!(codes.outdated().await.unwrap().is_empty());
    assert_eq!(codes.compiled(), 1);
    codes.renew(fixture.component).await.unwrap();
    assert_eq!(codes.compiled(), 1, "it was there already");
    fixture.get(none()).await.unwrap();
    let old = fixture
        .cache
        .join("code")
        .join(format!("{}-0123456789abcdef.cwasm", fixture.component.hex()));
    assert!(old.exists(), "another process may be using it");
}

#[tokio::test]
async fn a_node_without_a_compiler_loads_what_others_have_compiled() {
    let fixture = fixture().await;
    let error = fixture.refused(Compiler::None).await;
    assert!(matches!(error, Error::NotCompiled { .. }) && !error.permanent(), "{error}");
    fixture.get(Compiler::InProcess).await.unwrap();
    fixture.get(Compiler::None).await.unwrap();

    fixture.leave_another_shape();
    let error = fixture.refused(Compiler::None).await;
    assert!(matches!(error, Error::NotCompiled { .. }), "its shape is not this one: {error}");
    let mut codes = fixture.codes(Compiler::None);
    Arc::get_mut(&mut codes.inner).unwrap().shape.exact = false;
    let found = codes.get(fixture.component, Urgency::Now).await;
    found.expect("whatever loads is right where the shape is not known");
}

#[tokio::test]
async fn a_request_takes_over_what_nobody_was_waiting_for() {
    let fixture = fixture().await;
    fixture.get(Compiler::InProcess).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let code = directory.path().join("code");
    std::fs::rename(fixture.file("cwasm"), &code).unwrap();
    let (gate, log) = (directory.path().join("gate"), directory.path().join("log"));
    std::fs::write(&gate, "").unwrap();
    let started = async |lines: &str| {
        while std::fs::read_to_string(&log).unwrap_or_default() != lines {
            tokio::task::yield_now().await;
        }
    };

    let codes = fixture.codes(slow(directory.path(), &code));
    let component = fixture.component;
    let later = tokio::spawn({
        let codes = codes.clone();
        async move { codes.get(component, Urgency::Later).await }
    });
    started("19\n").await;
    let now = codes.get(component, Urgency::Now);
    let impatient = tokio::select! {
        _ = now => false,
        () = started("19\n10\n") => true,
    };
    assert!(impatient, "the gate is closed");
    // That request is gone, its compiler goes on.
    let now = codes.get(component, Urgency::Now);
    std::fs::remove_file(&gate).unwrap();
    now.await.unwrap();
    later.await.unwrap().unwrap();
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "19\n10\n", "nothing was done twice");
}
