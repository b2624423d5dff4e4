//! Looks into `.wasm` files: which are components that a dyno can run, and what of. Core modules for WASI
//! preview 1, which many compilers still make, become components here.

use bytes::Bytes;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as PREVIEW1,
    WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER as COMMAND_ADAPTER,
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as REACTOR_ADAPTER,
};
use wasmparser::{Encoding, Parser, Payload, Validator};
use wit_component::ComponentEncoder;
use wpaas_slug::{Digest, Limits, World};

use crate::{Error, settings::Settings};

/// The interface of a component that serves HTTP, without its patch version.
const HANDLER: &str = "wasi:http/incoming-handler@0.2";
/// The same of WASI 0.3, which nodes serve when their operator allows it.
const HANDLER_P3: &str = "wasi:http/handler@0.3";
/// The interface of a component that runs as a command, without its patch version.
const RUN: &str = "wasi:cli/run@0.2";
/// At most as many exports are listed in an error.
const SHOWN_EXPORTS: usize = 6;

/// A component that a dyno can run.
#[derive(Debug, Clone)]
pub(crate) struct Component {
    pub(crate) bytes: Bytes,
    pub(crate) digest: Digest,
    pub(crate) exports: Exports,
}

/// What a component offers to its host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Exports {
    names: Vec<String>,
}

impl Exports {
    fn has(&self, interface: &str) -> bool {
        self.names.iter().any(|name| {
            name.strip_prefix(interface)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// Whether it can be run as `world`.
    pub(crate) fn offers(&self, world: World) -> bool {
        match world {
            World::Http => self.has(HANDLER) || self.has(HANDLER_P3),
            World::Cli | World::Cgi => self.has(RUN),
        }
    }

    /// The exports, for an error.
    fn shown(&self) -> String {
        match self.names.len() {
            0 => "nothing".to_owned(),
            count => {
                let more = if count > SHOWN_EXPORTS { ", …" } else { "" };
                let names: Vec<&str> =
                    self.names.iter().take(SHOWN_EXPORTS).map(String::as_str).collect();
                format!("{}{more}", names.join(", "))
            }
        }
    }
}

impl Component {
    /// Reads a `.wasm` file: a component as it is, a core module made into one. `file` names it in errors.
    pub(crate) fn read(file: &str, bytes: Vec<u8>, limits: &Limits) -> Result<Self, Error> {
        let refused = |reason: String| Error::Component { file: file.to_owned(), reason };
        if bytes.len() as u64 > limits.component_bytes {
            return Err(refused(format!(
                "it has {} bytes, more than the limit of {}",
                bytes.len(),
                limits.component_bytes
            )));
        }
        let bytes = match encoding(&bytes).map_err(&refused)? {
            Encoding::Component => bytes,
            Encoding::Module => componentize(&bytes).map_err(&refused)?,
        };
        Validator::new_with_features(wasmparser::WasmFeatures::default())
            .validate_all(&bytes)
            .map_err(|error| refused(format!("not a valid WebAssembly component: {error}")))?;
        let exports = exports(&bytes).map_err(|error| refused(error.to_string()))?;
        Ok(Self { digest: Digest::of(&bytes), bytes: bytes.into(), exports })
    }

    /// The size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The world in which `process` is to run, or why this component cannot. A command that is to serve requests
    /// listens on `$PORT`, unless it is said to be a CGI program.
    pub(crate) fn world_for(
        &self,
        process: &str,
        file: &str,
        settings: &Settings,
    ) -> Result<World, Error> {
        let world = settings.world_of(process);
        if self.exports.offers(world) {
            return Ok(world);
        }
        if world == World::Http && settings.leaves_open(process) && self.exports.offers(World::Cli)
        {
            return Ok(World::Cli);
        }
        let needed = match world {
            World::Http => HANDLER,
            World::Cli | World::Cgi => RUN,
        };
        let reason = format!(
            "process type {process} needs a component that exports {needed}; this one exports {}",
            self.exports.shown()
        );
        let reason = match world {
            World::Http if self.exports.offers(World::Cgi) => format!(
                "{reason}; if it is a CGI program, put `serve = \"cgi\"` under `[processes.{process}]` in \
                 wpaas.toml"
            ),
            _ => reason,
        };
        Err(Error::Component { file: file.to_owned(), reason })
    }
}

/// Whether the bytes are a component or a core module, or what they are instead.
fn encoding(bytes: &[u8]) -> Result<Encoding, String> {
    if !bytes.starts_with(b"\0asm") {
        let is = match bytes {
            [] => "an empty file",
            [0x7f, b'E', b'L', b'F', ..] => "a native program (ELF)",
            _ if bytes.trim_ascii_start().starts_with(b"(") => {
                "WebAssembly text: translate it first"
            }
            _ if bytes.starts_with(b"version https://git-lfs") => {
                "a Git LFS pointer: fetch the file itself with `git lfs pull`"
            }
            _ => "no WebAssembly",
        };
        return Err(format!("expected a WebAssembly component, found {is}"));
    }
    match Parser::new(0).parse_all(bytes).next() {
        Some(Ok(Payload::Version { encoding, .. })) => Ok(encoding),
        Some(Err(error)) => Err(format!("not valid WebAssembly: {error}")),
        _ => Err("not valid WebAssembly: it has no version".to_owned()),
    }
}

/// The names that a component exports.
fn exports(bytes: &[u8]) -> Result<Exports, wasmparser::BinaryReaderError> {
    let mut names = Vec::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    names.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(Exports { names })
}

/// Makes a component of a core module: a command if it has `_start`, a reactor otherwise.
fn componentize(module: &[u8]) -> Result<Vec<u8>, String> {
    let invalid =
        |error: wasmparser::BinaryReaderError| format!("not a valid WebAssembly module: {error}");
    Validator::new().validate_all(module).map_err(invalid)?;
    let mut is_command = false;
    let mut has_world = false;
    let mut foreign = None;
    for payload in Parser::new(0).parse_all(module) {
        match payload.map_err(invalid)? {
            Payload::ExportSection(section) => {
                for export in section {
                    is_command |= export.map_err(invalid)?.name == "_start";
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let module = import.map_err(invalid)?.module;
                    if module != PREVIEW1 && !module.contains(':') && module != "$root" {
                        foreign.get_or_insert_with(|| module.to_owned());
                    }
                }
            }
            Payload::CustomSection(section) => {
                has_world |= section.name().starts_with("component-type");
            }
            _ => {}
        }
    }
    if let Some(foreign) = foreign {
        return Err(format!(
            "a core module that imports {foreign:?}, which only its own host has (a browser's \
             JavaScript?); build it for WASI"
        ));
    }
    if !is_command && !has_world {
        return Err("a core module without `_start` and without a WIT world: build it as a WASI \
                    command, or as a component (wasm32-wasip2)"
            .to_owned());
    }
    let adapter = if is_command { COMMAND_ADAPTER } else { REACTOR_ADAPTER };
    let encode = || -> Result<Vec<u8>, String> {
        ComponentEncoder::default()
            .module(module)
            .and_then(|encoder| encoder.adapter(PREVIEW1, adapter))
            .and_then(|mut encoder| encoder.encode())
            .map_err(|error| format!("{error:#}"))
    };
    encode().map_err(|error| format!("a core module that cannot be made a component: {error}"))
}

#[cfg(test)]
mod tests;
