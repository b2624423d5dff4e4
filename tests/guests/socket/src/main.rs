//! A server that listens on `$PORT`: HTTP/1.1 with upgrades, or HTTP/2 without TLS, as the client begins. Its
//! first argument says how it begins:
//!
//! | argument | does |
//! |---|---|
//! | none | serves |
//! | `slow MS` | waits before it listens |
//! | `silent` | never listens |
//! | `crash` | exits with status 3 at once |
//! | `local` | listens on 127.0.0.1 |
//! | `stale` | closes each connection after its response without announcing it |
//! | `leaver` | answers a POST whose body ends in `end`, and closes its connection when the next request is there, unread |
//! | `garbage` | answers what is no HTTP |
//! | `deaf` | listens and accepts nothing |
//! | `obedient` | exits when its standard input ends |
//!
//! The routes are in `route` below.

mod routes;
mod stream;
mod tcp;

use std::{cell::Cell, convert::Infallible, env, future::Future, process::exit, rc::Rc};

use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wasip2::sockets::{
    instance_network::instance_network,
    network::{ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress},
    tcp::TcpSocket,
    tcp_create_socket::create_tcp_socket,
};
use wstd::{runtime::AsyncPollable, time::Duration};

use crate::{
    routes::route,
    stream::{Adapter, Stream},
};

/// What the connections have in common.
#[derive(Default)]
pub struct Shared {
    pub connections: Cell<u64>,
    pub at_barrier: Cell<u64>,
    pub mode: String,
}

fn main() {
    let mut args = env::args().filter(|arg| !arg.ends_with(".wasm"));
    let mode = args.next().unwrap_or_default();
    match mode.as_str() {
        "crash" => exit(3),
        "slow" => {
            let wait = args.next().and_then(|ms| ms.parse().ok()).unwrap_or(1000);
            std::thread::sleep(std::time::Duration::from_millis(wait));
        }
        "silent" => loop {
            std::thread::sleep(std::time::Duration::from_secs(3600));
        },
        _ => {}
    }
    println!("starting");
    wstd::runtime::block_on(serve(Rc::new(Shared { mode, ..Shared::default() })));
}

fn listen(shared: &Shared) -> Result<TcpSocket, ErrorCode> {
    let port = env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8080);
    let address = if shared.mode == "local" { (127, 0, 0, 1) } else { (0, 0, 0, 0) };
    let socket = create_tcp_socket(IpAddressFamily::Ipv4)?;
    let address = IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address });
    socket.start_bind(&instance_network(), address)?;
    socket.finish_bind()?;
    socket.start_listen()?;
    socket.finish_listen()?;
    Ok(socket)
}

async fn serve(shared: Rc<Shared>) {
    let listener = match listen(&shared) {
        Ok(listener) => listener,
        Err(code) => {
            eprintln!("cannot listen: {}", code.name());
            exit(4);
        }
    };
    wstd::runtime::spawn(watch_input(Rc::clone(&shared))).detach();
    let readiness = AsyncPollable::new(listener.subscribe());
    loop {
        readiness.wait_for().await;
        if shared.mode == "deaf" {
            wstd::task::sleep(Duration::from_secs(3600)).await;
        }
        match listener.accept() {
            Ok((socket, input, output)) => {
                shared.connections.set(shared.connections.get() + 1);
                let stream = Stream::new(socket, input, output);
                let shared = Rc::clone(&shared);
                wstd::runtime::spawn(async move {
                    if let Err(error) = connection(stream, shared).await {
                        println!("connection ended: {error}");
                    }
                })
                .detach();
            }
            Err(ErrorCode::WouldBlock) => {}
            Err(code) => eprintln!("cannot accept: {}", code.name()),
        }
    }
}

/// The end of standard input is the wish that the process ends.
async fn watch_input(shared: Rc<Shared>) {
    let stdin = wasip2::cli::stdin::get_stdin();
    let readiness = AsyncPollable::new(stdin.subscribe());
    loop {
        readiness.wait_for().await;
        if stdin.read(1024).is_err() {
            println!("asked to end");
            if shared.mode == "obedient" {
                exit(0);
            }
            return;
        }
    }
}

async fn connection(
    mut stream: Stream,
    shared: Rc<Shared>,
) -> Result<(), Box<dyn std::error::Error>> {
    if shared.mode == "garbage" {
        stream.peek().await?;
        stream.write_all(b"this is no HTTP\r\n\r\n").await?;
        return Ok(());
    }
    if shared.mode == "leaver" {
        let mut request = Vec::new();
        while !request.ends_with(b"end") {
            let mut piece = vec![0; 64 * 1024];
            let read = stream.read(&mut piece).await?;
            request.extend(&piece[..read]);
            if read == 0 {
                return Ok(());
            }
        }
        let length = request.len().to_string();
        let response =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{length}", length.len());
        stream.write_all(response.as_bytes()).await?;
        stream.readable().await;
        println!("leaving");
        return Ok(());
    }
    if shared.mode == "stale" {
        // One request a connection, which the response does not say.
        let mut head = vec![0; 64 * 1024];
        let read = stream.read(&mut head).await?;
        if read > 0 {
            let response = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstale";
            stream.write_all(response).await?;
        }
        return Ok(());
    }
    let first = stream.peek().await?;
    if first.is_empty() {
        return Ok(());
    }
    let is_http2 = first.starts_with(b"PRI");
    let io = Adapter(stream);
    let service = service_fn(move |request| {
        let shared = Rc::clone(&shared);
        async move { Ok::<_, Infallible>(route(request, shared).await) }
    });
    if is_http2 {
        http2::Builder::new(LocalExecutor).serve_connection(io, service).await?;
    } else {
        http1::Builder::new().serve_connection(io, service).with_upgrades().await?;
    }
    Ok(())
}

#[derive(Clone)]
struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        wstd::runtime::spawn(async move {
            future.await;
        })
        .detach();
    }
}
