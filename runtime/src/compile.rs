//! Compiling a component to machine code, in a process of its own that can be killed: the time and
//! memory that a hostile component makes the compiler take is not something wasmtime bounds.
//!
//! Everything that needs Cranelift is in [`builtin`], which the feature `compiler` brings; a node without
//! it asks another program or has no compiler at all.

#[cfg(feature = "compiler")]
mod builtin;
#[cfg(any(feature = "compiler", fuzzing))]
pub(crate) mod headroom;
mod process;
#[cfg(not(feature = "compiler"))]
mod without;

use std::{ffi::OsString, path::Path, path::PathBuf};

use wpaas_slug::{Digest, Limits};

use crate::{Error, engine::Wasi};

#[cfg(feature = "compiler")]
pub use builtin::compile_main;
#[cfg(feature = "compiler")]
pub(crate) use builtin::{lower, shape};
#[cfg(not(feature = "compiler"))]
pub(crate) use without::shape;

/// How a node compiles components.
#[derive(Debug, Clone)]
pub enum Compiler {
    /// Runs `program args… INPUT.wasm OUTPUT.cwasm`, which calls `compile_main`. It is killed after
    /// `compile_ms`, its address space is limited to `compile_memory_bytes`, and it ends when this process
    /// does. On Linux `/proc/self/exe` as the program is the running one, also after an upgrade has put
    /// another file in its place.
    Process {
        /// The program.
        program: PathBuf,
        /// What comes before the two file names.
        args: Vec<OsString>,
    },
    /// Compiles on a thread of this process, which no limit can stop. For tests, examples, and nodes
    /// that run only components of their operator.
    #[cfg(feature = "compiler")]
    InProcess,
    /// Compiles nothing: what the node runs must be in its code directory already, put there by another
    /// node or by [`crate::Node::prepare_code`].
    None,
}

impl Default for Compiler {
    #[cfg(feature = "compiler")]
    fn default() -> Self {
        Self::InProcess
    }

    #[cfg(not(feature = "compiler"))]
    fn default() -> Self {
        Self::None
    }
}

/// Who waits for a component's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// A request or a deploy.
    Now,
    /// Nobody yet.
    Later,
}

/// Everything but the component that shapes machine code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Sixteen hex digits for file names.
    pub(crate) name: String,
    /// Whether code of this shape is what this node's compiler makes, and no other code will load. A node
    /// without a compiler cannot tell; there, loading alone decides.
    pub(crate) exact: bool,
}

impl Shape {
    fn of(description: &str, exact: bool) -> Self {
        let name = Digest::of(description.as_bytes()).hex().chars().take(16).collect();
        Self { name, exact }
    }
}

/// Compiles the file of `component` to the file `output`, which exists.
#[cfg_attr(
    not(feature = "compiler"),
    expect(unused_variables, reason = "a process of the compiler is told by its arguments")
)]
pub(crate) async fn compile(
    compiler: &Compiler,
    component: Digest,
    input: &Path,
    output: &Path,
    limits: &Limits,
    (urgency, wasi): (Urgency, Wasi),
) -> Result<(), Error> {
    match compiler {
        #[cfg(feature = "compiler")]
        Compiler::InProcess => builtin::on_a_thread(component, input, output, limits, wasi).await,
        Compiler::Process { program, args } => {
            let mut command = tokio::process::Command::new(program);
            command.args(args).arg(input).arg(output);
            process::run(command, program, component, limits, urgency).await
        }
        Compiler::None => Err(Error::NotCompiled { component: component.short() }),
    }
}
