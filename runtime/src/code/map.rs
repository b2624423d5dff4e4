//! Loading machine code: the only place where wpaas trusts bytes because of where they come from.

use std::path::Path;

use wasmtime::{Engine, component::Component};

use super::files::Files;

/// Maps a code file. `None` when there is none that may be loaded, `Err` when the engine refuses what
/// its own compiler wrote, which then asks for more than the node allows.
///
/// The file is mapped, not read: pages come from the page cache when they are touched, and all
/// processes share them.
pub(crate) fn map(
    engine: &Engine,
    files: &Files,
    path: &Path,
) -> Option<Result<Component, String>> {
    if !files.verify(path) {
        return None;
    }
    #[expect(
        unsafe_code,
        reason = "Machine code cannot be checked, only where it comes from. \
                  (1) Origin: the directory is this user's alone (mode 0700), and files get their name \
                  in it only by the rename in `Files::install`, of what our own compiler wrote. \
                  Whoever can write here as this user can as well replace the program itself. \
                  (2) Integrity: what is left is damage: writes that a power cut tore, a failing disk, \
                  an operator's slip. `Files::verify` has compared the whole content with the digest \
                  recorded when it was compiled, in this boot of the machine (a power cut means a new \
                  one), and since then device, inode, size, mtime and ctime have not changed; the \
                  kernel sets ctime at every write, and nothing can set it back. A disk that fails \
                  after that is no worse for this file than for the program's own text. \
                  (3) No change while it is mapped: files are replaced by rename and removed by unlink, \
                  never written to or truncated, and both leave a mapping as it is. \
                  (4) Version: wasmtime itself compares its full version, target, CPU features and \
                  settings, which are in the file, with this engine's."
    )]
    let component = unsafe { Component::deserialize_file(engine, path) };
    Some(component.map_err(|error| format!("{error:#}")))
}
