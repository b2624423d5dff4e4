use wpaas_slug::Store;

use super::*;

/// The smallest component with the right export is still a whole handler, so these tests use the error for
/// one that has none: it comes only after the code was compiled and mapped.
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
        let engine = engine::compiling().unwrap();
        CodeCache::new(
            engine,
            self.cache.join("code"),
            blobs,
            compiler,
            Arc::new(Limits::default()),
        )
        .unwrap()
    }

    /// Gets the component's code as far as it goes, and says how far that was.
    async fn get(&self, compiler: Compiler) -> Error {
        self.codes(compiler).get(self.component).await.err().expect("it has no handler")
    }

    fn file(&self, extension: &str) -> PathBuf {
        let files = std::fs::read_dir(self.cache.join("code")).unwrap();
        let mut files = files.map(|entry| entry.unwrap().path());
        files.find(|path| path.extension().is_some_and(|found| found == extension)).unwrap()
    }
}

/// A compiler that must not be needed.
fn none() -> Compiler {
    Compiler::Process { program: "/does/not/exist".into(), args: vec![] }
}

fn mapped(error: &Error) -> bool {
    matches!(error, Error::Component { .. })
}

#[tokio::test]
async fn compiles_once_and_then_maps_the_file() {
    let fixture = fixture().await;
    assert!(mapped(&fixture.get(Compiler::InProcess).await));
    assert!(mapped(&fixture.get(none()).await), "the second node finds the file");
    let files = std::fs::read_dir(fixture.cache.join("code")).unwrap().count();
    assert_eq!(files, 2, "code and digest, nothing temporary");
}

#[tokio::test]
async fn code_that_is_not_what_was_compiled_is_never_loaded() {
    let fixture = fixture().await;
    fixture.get(Compiler::InProcess).await;
    let (code, digest) = (fixture.file("cwasm"), fixture.file("sha256"));
    let original = std::fs::read(&code).unwrap();

    let mut damaged = original.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&code, &damaged).unwrap();
    assert!(matches!(fixture.get(none()).await, Error::CompilerStart { .. }));
    assert!(mapped(&fixture.get(Compiler::InProcess).await));
    assert_eq!(std::fs::read(&code).unwrap(), original, "compiled again");

    std::fs::remove_file(&digest).unwrap();
    assert!(matches!(fixture.get(none()).await, Error::CompilerStart { .. }));
}

#[tokio::test]
async fn a_component_that_does_not_compile_leaves_nothing() {
    let fixture = fixture().await;
    let (component, _) = fixture.store.put(bytes::Bytes::from_static(b"rubbish")).await.unwrap();
    let error = fixture.codes(Compiler::InProcess).get(component).await.err().unwrap();
    assert!(matches!(error, Error::Compile { .. }) && error.permanent(), "{error}");
    assert_eq!(std::fs::read_dir(fixture.cache.join("code")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_component_without_a_handler_is_refused_for_good() {
    let fixture = fixture().await;
    let error = fixture.get(Compiler::InProcess).await;
    assert!(error.permanent());
    assert!(error.to_string().contains("wasi:http/incoming-handler"), "{error}");
}
