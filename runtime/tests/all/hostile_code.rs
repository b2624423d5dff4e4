//! Components made to hurt whoever compiles, loads or starts them. Each is stopped by its own limit and says by
//! which, and the node serves another app meanwhile.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use wasm_encoder::{
    BlockType, CodeSection, Component, ComponentTypeSection, Function, FunctionSection,
    Instruction as I, Module, ModuleSection, NestedComponentSection, PrimitiveValType, TypeSection,
    ValType,
};
use wpaas_slug::{
    Limits,
    feed::{ApplyError, Change, NodeLink},
};

use crate::{
    compiler::compiler,
    support::{Host, app, host_with, slug},
};

/// A node whose app `other` is an ordinary one.
async fn busy(change: impl FnOnce(&mut Limits)) -> Host {
    let host = host_with(change, |builder| builder.compiler(compiler())).await;
    host.deploy("other", "component-hello").await;
    host
}

impl Host {
    async fn deploy_wasm(&self, wasm: Vec<u8>) -> Result<(), ApplyError> {
        let slug = slug(&self.store, wasm, &[], false).await;
        self.node.apply(Change::App(Arc::new(app("app", Some(slug))))).await
    }

    /// Deploys what must be refused for good, with requests to the other app all the while.
    async fn refuses(&self, wasm: Vec<u8>, says: &str) {
        let over = AtomicBool::new(false);
        let deploying = async {
            let error = self.deploy_wasm(wasm).await.unwrap_err();
            over.store(true, Ordering::Relaxed);
            error
        };
        let serving = async {
            while !over.load(Ordering::Relaxed) {
                self.get_from("other.localhost", "/").await.ok();
            }
        };
        let (error, ()) = tokio::join!(deploying, serving);
        assert!(error.permanent && error.message.contains(says), "{says:?}: {error}");
        self.get_from("other.localhost", "/").await.ok();
    }
}

/// A component that holds one core module with one function.
fn function(locals: u32, code: impl IntoIterator<Item = I<'static>>) -> Vec<u8> {
    let (mut types, mut functions, mut codes) =
        (TypeSection::new(), FunctionSection::new(), CodeSection::new());
    types.ty().function([], []);
    functions.function(0);
    let mut function = Function::new([(locals, ValType::I32)]);
    for instruction in code {
        function.instruction(&instruction);
    }
    codes.function(&function);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&codes);
    Component::new().section(&ModuleSection(&module)).clone().finish()
}

/// Some hundred kilobytes whose compilation takes time and memory by the product of locals and loops: in each of
/// the nested loops every local may have another value.
fn bomb(loops: usize) -> Vec<u8> {
    const LOCALS: u32 = 40_000;
    let enter = (0..loops).map(|_| I::Loop(BlockType::Empty));
    let change = (0..LOCALS)
        .flat_map(|local| [I::LocalGet(local), I::I32Const(1), I::I32Add, I::LocalSet(local)]);
    let leave = (0..loops).flat_map(|_| [I::LocalGet(0), I::BrIf(0), I::End]);
    function(LOCALS, enter.chain(change).chain(leave).chain([I::End]))
}

/// A component with a handler whose core module has `fields`.
fn handler(outside: &str, fields: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
          (import "wasi:http/types@0.2.0" (instance $types
            (export "incoming-request" (type (sub resource)))
            (export "response-outparam" (type (sub resource)))))
          (alias export $types "incoming-request" (type $request))
          (alias export $types "response-outparam" (type $out))
          {outside}
          (core module $code (func (export "handle") (param i32 i32)) {fields})
          (core instance $it (instantiate $code))
          (func $handle (param "request" (own $request)) (param "response-out" (own $out))
            (canon lift (core func $it "handle")))
          (instance (export "wasi:http/incoming-handler@0.2.0") (export "handle" (func $handle))))"#
    );
    wat::parse_str(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_takes_forever_to_compile() {
    let host = busy(|limits| limits.compile_ms = 1_000).await;
    host.refuses(bomb(1_000), "takes longer than 1000 ms, the limit compile_ms").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_takes_much_memory_to_compile() {
    let host = busy(|limits| limits.compile_memory_bytes = 1 << 30).await;
    host.refuses(bomb(1_000), "more than 1024 MB, the limit compile_memory_bytes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn machine_code_that_is_too_large() {
    let host = busy(|limits| limits.compiled_bytes = 1 << 20).await;
    let calls = (0..100_000).flat_map(|_| [I::Call(0)]).chain([I::End]);
    host.refuses(function(0, calls), "larger than 1048576 bytes, the limit compiled_bytes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_is_too_large() {
    let host = busy(|limits| limits.component_bytes = 100_000).await;
    host.refuses(bomb(1), "bytes in a component, more than the limit of 100000").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_beyond_what_a_component_may_have() {
    let host = busy(|limits| limits.dyno_core_instances = 10).await;
    let instances = "(core module $m) ".to_owned() + &"(core instance (instantiate $m))".repeat(20);
    host.refuses(
        handler(&instances, ""),
        "21 core module instances, which exceeds the configured maximum of 10",
    )
    .await;

    let mut nested = Component::new();
    for _ in 0..2_000 {
        let inner = std::mem::take(&mut nested);
        nested.section(&NestedComponentSection(&inner));
    }
    host.refuses(nested.finish(), "no exported instance").await;

    let mut types = ComponentTypeSection::new();
    for _ in 0..1_000_001 {
        types.defined_type().primitive(PrimitiveValType::U8);
    }
    host.refuses(Component::new().section(&types).clone().finish(), "does not compile").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_tables_beyond_the_limits_are_refused_at_once() {
    let host = busy(|_| {}).await;
    host.refuses(handler("", "(memory 65536)"), "memory").await;
    host.refuses(handler("", "(table 9000000 funcref)"), "table").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_function_without_an_end_is_h12() {
    let host = busy(|limits| limits.first_byte_ms = 300).await;
    let wasm = handler("", "(func $spin (loop (br 0))) (start $spin)");
    host.deploy_wasm(wasm).await.unwrap();
    let (spun, other) = tokio::join!(host.get("/"), host.get_from("other.localhost", "/"));
    spun.is_page("H12");
    other.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_that_nobody_has() {
    let host = busy(|_| {}).await;
    let import = r#"(import "wasi:gpu/types@0.2.0" (instance (export "f" (func))))"#;
    host.refuses(handler(import, ""), "wasi:gpu/types@0.2.0").await;
}

/// The node itself compares the types of imports with its own, so their depth is the node's stack.
#[tokio::test(flavor = "multi_thread")]
async fn types_nested_deeper_than_any_stack() {
    let host = busy(|_| {}).await;
    let mut types = String::from("(type $t0 (list u8))");
    for depth in 1..50_000 {
        types += &format!("(type $t{depth} (list $t{}))", depth - 1);
    }
    let import = format!(
        r#"(import "wasi:random/random@0.2.0" (instance {types}
            (export "get-random-bytes" (func (param "len" u64) (result $t49999)))))"#
    );
    host.refuses(handler(&import, ""), "component").await;
}
