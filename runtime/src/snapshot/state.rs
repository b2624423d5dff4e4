//! What an app sees while it is evaluated, and how Wizer reads its memory.

use std::future::Future;

use http::{Request, Response};
use wasmtime::{
    Store,
    component::{Instance, Lift, Linker, ResourceTable, WasmList},
};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};
use wasmtime_wizer::ComponentInstanceState;
use wpaas_slug::Limits;

use super::SnapshotSpec;
use crate::{Error, dyno::PORT, memory::Memory};

/// The state that host functions see.
pub(super) struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    pub(super) table: ResourceTable,
    pub(super) memory: Memory,
    nowhere: Nowhere,
}

impl State {
    pub(super) fn new(spec: &SnapshotSpec, limits: &Limits) -> Result<Self, Error> {
        let mut wasi = WasiCtx::builder();
        wasi.args(&spec.args)
            .envs(&spec.env)
            .env("PORT", PORT.to_string())
            .initial_cwd("/app")
            // Standard output is for what came of the evaluation.
            .stdout(wasmtime_wasi::cli::stderr())
            .inherit_stderr()
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false);
        for (dir, path, perms) in
            [(&spec.app, "/app", FsPerms::ReadOnly), (&spec.tmp, "/tmp", FsPerms::ReadWrite)]
        {
            wasi.preopened_dir(dir, path, perms)
                .map_err(|error| Error::Snapshot(format!("{}: {error:#}", dir.display())))?;
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(Limits::size(limits.dyno_handles));
        Ok(Self {
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            table,
            memory: Memory::new(limits),
            nowhere: Nowhere,
        })
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.nowhere }
    }
}

/// When a connection is over, which here is never begun.
type Io = Box<dyn Future<Output = wasmtime_wasi_http::Result<()>> + Send>;

/// Refuses every request. The stack has refused it before, with the place in the app.
struct Nowhere;

impl WasiHttpHooks for Nowhere {
    fn send_request(
        &mut self,
        _request: Request<WasiBody>,
        _options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = wasmtime_wasi_http::Result<()>> + Send>,
    ) -> Box<dyn Future<Output = wasmtime_wasi_http::Result<(Response<WasiBody>, Io)>> + Send> {
        Box::new(async { Err(wasmtime_wasi_http::Error::HttpRequestDenied) })
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    // The stack's bindings name everything that the interfaces have.
    let mut options = wasmtime_wasi::p2::bindings::LinkOptions::default();
    options.network_error_code(true);
    wasmtime_wasi::p2::add_to_linker_with_options_async(linker, &options)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)
}

/// Reads an instance by the functions that Wizer has given it.
pub(super) struct Access<'a> {
    pub(super) store: &'a mut Store<State>,
    pub(super) instance: Instance,
}

impl Access<'_> {
    /// What a function gives. Wizer made it and its type, so it can only be missing if Wizer is wrong.
    #[expect(
        clippy::expect_used,
        reason = "the trait has no room for an error, and the process is for this only"
    )]
    async fn call<R: Lift + 'static>(&mut self, instance: &str, function: &str) -> R {
        let found = self
            .instance
            .get_export_index(&mut *self.store, None, instance)
            .and_then(|at| self.instance.get_export_index(&mut *self.store, Some(&at), function))
            .expect("the instrumented component exports it");
        let function = self
            .instance
            .get_typed_func::<(), (R,)>(&mut *self.store, found)
            .expect("the instrumentation gives it this type");
        function.call_async(&mut *self.store, ()).await.expect("reading does not trap").0
    }
}

impl ComponentInstanceState for Access<'_> {
    async fn call_func_ret_list_u8(
        &mut self,
        instance: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        let list: WasmList<u8> = self.call(instance, func).await;
        contents(list.as_le_slice(&*self.store));
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.call(instance, func).await
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.call(instance, func).await
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        self.call::<f32>(instance, func).await.to_bits()
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        self.call::<f64>(instance, func).await.to_bits()
    }
}
