//! Starting and dropping one dyno, alone and beside many that live, with all that a dyno has: config vars, `/app`, `/tmp`,
//! log, limits. The peer is wasmtime's own pooling allocator with its defaults and an empty world.
//!
//! `WPAAS_BENCH_COMPONENT` names the component; `WPAAS_BENCH_MEMORY` a file for the memory that live dynos take.
//! With `WPAAS_WASI_P3` the node serves WASI 0.3 too.
//! `bench/run.sh instantiate` sets the first two and makes a table.

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::{collections::BTreeMap, future::ready, hint::black_box, path::Path, sync::Arc};

use criterion::{BenchmarkId, Criterion};
use tokio::runtime::Runtime;
use uuid::Uuid;
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    component::{Component, Linker, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
    p2::bindings::ProxyPre,
};
use wpaas_runtime::{Node, bench_support::Starter};
use wpaas_slug::{
    ComponentRef, Digest, Limits, ProcessType, Slug, SlugConfig, World,
    feed::{AppSpec, Change, NodeLink as _, ReleaseSpec, Scale},
    store,
};

/// Dynos that live beside the one that is started.
const LIVE: [usize; 4] = [0, 10, 100, 999];

fn main() {
    let runtime = Runtime::new().unwrap();
    let component = std::env::var_os("WPAAS_BENCH_COMPONENT").unwrap();
    let component = std::fs::read(component).unwrap();
    let mut criterion = Criterion::default().configure_from_args();

    let directory = tempfile::tempdir().unwrap();
    let (_node, starter) = runtime.block_on(node(directory.path(), component.clone()));
    let start = async || starter.start().await.unwrap();
    let mut group = criterion.benchmark_group("instantiate");
    let mut live = Vec::new();
    let mut memory = String::new();
    for count in LIVE {
        runtime.block_on(async {
            while live.len() < count {
                live.push(start().await);
            }
        });
        memory.push_str(&format!("{count} {}\n", resident_kib()));
        group.bench_function(BenchmarkId::new("wpaas", count), |bencher| {
            bencher.to_async(&runtime).iter(async || drop(black_box(start().await)));
        });
    }
    drop(live);
    if let Some(path) = std::env::var_os("WPAAS_BENCH_MEMORY") {
        std::fs::write(path, memory).unwrap();
    }
    let bare = Bare::new(&component);
    group.bench_function(BenchmarkId::new("wasmtime", 0), |bencher| {
        bencher.to_async(&runtime).iter(async || drop(black_box(bare.start().await)));
    });
    group.finish();
    criterion.final_summary();
}

/// A node that has an app of this component.
async fn node(directory: &Path, component: Vec<u8>) -> (Node, Starter) {
    let limits = Limits { dynos_per_node: 1_100, ..Limits::default() };
    let store = wpaas_slug::Store::local(&directory.join("store")).unwrap();
    let own = ComponentRef::Own { digest: Digest::of(&component), size: component.len() as u64 };
    store.put(component.into()).await.unwrap();
    let web = ProcessType::new("app.wasm", own, World::Http, vec![]);
    let processes = [("web".to_owned(), web)].into();
    let config = SlugConfig { buildpack: "none".into(), stack: None, processes, files: vec![] };
    let slug = Slug::new(config, &limits).unwrap();
    store.put_slug(&slug, |blob| ready(Err(store::Error::NotFound(blob)))).await.unwrap();
    let p3 = std::env::var_os("WPAAS_WASI_P3").is_some();
    let node = Node::builder(store, directory.join("node")).limits(limits).wasi_http_p3(p3);
    let node = node.build().unwrap();
    let id = Uuid::nil();
    let config = BTreeMap::from([("GREETING".to_owned(), "Hello".to_owned())]);
    let release = ReleaseSpec { id, version: 1, slug: slug.digest, config, egress: vec![] };
    let app = AppSpec {
        id,
        owner: id,
        name: "app".into(),
        domains: vec![],
        maintenance: false,
        release: Some(release),
        formation: [("web".to_owned(), Scale { min: 0, max: 2_000 })].into(),
    };
    node.apply(Change::App(Arc::new(app))).await.unwrap();
    let starter = Starter::new(&node, id).unwrap();
    (node, starter)
}

/// Proportional set size of this process: pages that instances share count once.
fn resident_kib() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// wasmtime without wpaas.
struct Bare {
    engine: Engine,
    pre: ProxyPre<Empty>,
}

struct Empty {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    hooks: NoRequests,
}

/// Refuses outgoing requests; nobody makes any.
struct NoRequests;

type Sent = wasmtime_wasi_http::Result<(
    http::Response<WasiBody>,
    Box<dyn Future<Output = wasmtime_wasi_http::Result<()>> + Send>,
)>;

impl WasiHttpHooks for NoRequests {
    fn send_request(
        &mut self,
        _request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = wasmtime_wasi_http::Result<()>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(ready(Err(wasmtime_wasi_http::Error::HttpRequestDenied)))
    }
}

impl WasiView for Empty {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Empty {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

impl Bare {
    fn new(component: &[u8]) -> Self {
        let mut config = Config::new();
        let pool = PoolingAllocationConfig::default();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        // On by default where it is compiled in, as it is here for WASI 0.3, which this component does not use.
        config.concurrency_support(false);
        let engine = Engine::new(&config).unwrap();
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).unwrap();
        let component = Component::new(&engine, component).unwrap();
        let pre = ProxyPre::new(linker.instantiate_pre(&component).unwrap()).unwrap();
        Self { engine, pre }
    }

    async fn start(&self) -> impl Sized {
        let world = Empty {
            wasi: WasiCtx::builder().build(),
            http: WasiHttpCtx::new(),
            table: ResourceTable::new(),
            hooks: NoRequests,
        };
        let mut store = Store::new(&self.engine, world);
        let proxy = self.pre.instantiate_async(&mut store).await.unwrap();
        (store, proxy)
    }
}
