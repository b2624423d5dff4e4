//! Routes that use the dyno's own network.

use std::cell::RefCell;

use wasip2::io::streams::{InputStream, OutputStream, StreamError};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress,
};
use wasip2::sockets::tcp::{ShutdownType, TcpSocket};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

use crate::http::Request;
use crate::network::{address, refused};

/// A connection; the streams go before the socket.
struct Connection {
    input: InputStream,
    output: OutputStream,
    socket: TcpSocket,
}

thread_local! {
    static KEPT: RefCell<Vec<Connection>> = const { RefCell::new(Vec::new()) };
    static SOCKETS: RefCell<Vec<TcpSocket>> = const { RefCell::new(Vec::new()) };
}

fn socket_refused(code: ErrorCode) -> String {
    refused(code.name())
}

/// `HOST:PORT` as an address, by a lookup unless it is one.
fn target(text: &str) -> Result<(IpAddressFamily, IpSocketAddress), ErrorCode> {
    if let Some(address) = address(text) {
        return Ok(address);
    }
    let (name, port) = text.split_once(':').ok_or(ErrorCode::InvalidArgument)?;
    let port = port.parse().map_err(|_| ErrorCode::InvalidArgument)?;
    let stream = resolve_addresses(&instance_network(), name)?;
    stream.subscribe().block();
    match stream.resolve_next_address()? {
        Some(IpAddress::Ipv4(address)) => {
            let address = IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address });
            Ok((IpAddressFamily::Ipv4, address))
        }
        _ => Err(ErrorCode::NameUnresolvable),
    }
}

fn connect(to: &str) -> Result<Connection, ErrorCode> {
    let (family, remote) = target(to)?;
    let socket = create_tcp_socket(family)?;
    socket.start_connect(&instance_network(), remote)?;
    socket.subscribe().block();
    let (input, output) = socket.finish_connect()?;
    Ok(Connection { input, output, socket })
}

fn send(output: &OutputStream, bytes: &[u8]) -> Result<(), StreamError> {
    bytes.chunks(4096).try_for_each(|chunk| output.blocking_write_and_flush(chunk))
}

/// Reads to the end.
fn receive(input: &InputStream) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    loop {
        match input.blocking_read(64 * 1024) {
            Ok(bytes) => all.extend(bytes),
            Err(StreamError::Closed) => return Ok(all),
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
    }
}

/// Says `text`, then nothing more, which the peer is told when `close` is set, and gives what comes back.
pub fn talk(to: &str, text: &str, close: bool) -> String {
    let connection = match connect(to) {
        Ok(connection) => connection,
        Err(code) => return socket_refused(code),
    };
    if send(&connection.output, text.as_bytes()).is_err() {
        return refused("sending");
    }
    let closed = if close { connection.socket.shutdown(ShutdownType::Send) } else { Ok(()) };
    if let Err(code) = closed {
        return socket_refused(code);
    }
    match receive(&connection.input) {
        Ok(all) => String::from_utf8_lossy(&all).into_owned(),
        Err(error) => refused(error),
    }
}

pub fn keep(to: &str, text: &str) -> String {
    match connect(to) {
        Ok(connection) => {
            let sent = send(&connection.output, text.as_bytes());
            KEPT.with_borrow_mut(|kept| kept.push(connection));
            if sent.is_ok() { "kept".to_owned() } else { refused("sending") }
        }
        Err(code) => socket_refused(code),
    }
}

/// Writes until it would have to wait for the peer.
pub fn flood(to: &str, close: bool) -> String {
    let connection = match connect(to) {
        Ok(connection) => connection,
        Err(code) => return socket_refused(code),
    };
    let mut written = 0;
    loop {
        match connection.output.check_write() {
            Ok(0) => break,
            Ok(room) => {
                let bytes = vec![0; room as usize];
                if connection.output.write(&bytes).is_err() {
                    break;
                }
                written += room;
            }
            Err(_) => break,
        }
    }
    if !close {
        KEPT.with_borrow_mut(|kept| kept.push(connection));
    }
    format!("{written} bytes written")
}

/// A connection from the dyno to itself, both ends of it here.
pub fn to_itself(request: &Request) -> String {
    match loopback() {
        Ok((client, server)) => {
            let bytes = match request.number("bytes") {
                Some(bytes) => vec![b'x'; bytes as usize],
                None => request.text("text").into_bytes(),
            };
            // Written and read in turns: this is one thread.
            let mut echoed = 0;
            for chunk in bytes.chunks(4096) {
                if send(&client.output, chunk).is_err() {
                    return refused("sending");
                }
                let mut left = chunk.len();
                while left > 0 {
                    let Ok(piece) = server.input.blocking_read(left as u64) else {
                        return refused("reading");
                    };
                    left -= piece.len();
                    echoed += piece.len();
                }
            }
            let remote = server.socket.remote_address();
            let local = client.socket.local_address();
            let same = format!("{:?}", remote.ok()) == format!("{:?}", local.ok());
            drop(client);
            let end = matches!(receive(&server.input).as_deref(), Ok([]));
            format!("{echoed} bytes, same address {same}, clean end {end}")
        }
        Err(code) => socket_refused(code),
    }
}

fn loopback() -> Result<(Connection, Connection), ErrorCode> {
    let (family, any) = address("127.0.0.1:0").ok_or(ErrorCode::InvalidArgument)?;
    let network = instance_network();
    let listener = create_tcp_socket(family)?;
    listener.start_bind(&network, any)?;
    listener.finish_bind()?;
    listener.start_listen()?;
    listener.finish_listen()?;
    let client = create_tcp_socket(family)?;
    client.start_connect(&network, listener.local_address()?)?;
    client.subscribe().block();
    let (input, output) = client.finish_connect()?;
    let client = Connection { input, output, socket: client };
    listener.subscribe().block();
    let (socket, input, output) = listener.accept()?;
    Ok((client, Connection { input, output, socket }))
}

pub fn many(n: Option<u64>) -> String {
    SOCKETS.with_borrow_mut(|sockets| {
        for _ in 0..n.unwrap_or(u64::MAX) {
            match create_tcp_socket(IpAddressFamily::Ipv4) {
                Ok(socket) => sockets.push(socket),
                Err(code) => {
                    return format!("refused: {} with {} sockets", code.name(), sockets.len());
                }
            }
        }
        format!("{} sockets kept", sockets.len())
    })
}
