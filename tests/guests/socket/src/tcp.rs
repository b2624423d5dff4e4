//! What TCP does in WASI, as wasmtime's own sockets do it, checked from inside: `check` gives the first thing that is
//! different, or `ok`. All of it is between the dyno and itself.

use wasip2::{
    io::{
        poll,
        streams::{InputStream, OutputStream, StreamError},
    },
    sockets::{
        instance_network::instance_network,
        network::{
            ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
        },
        tcp::{ShutdownType, TcpSocket},
        tcp_create_socket::create_tcp_socket,
    },
};

struct Connection {
    input: InputStream,
    output: OutputStream,
    socket: TcpSocket,
}

fn local(port: u16) -> IpSocketAddress {
    IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) })
}

fn port(socket: &TcpSocket) -> Result<u16, ErrorCode> {
    match socket.local_address()? {
        IpSocketAddress::Ipv4(address) => Ok(address.port),
        IpSocketAddress::Ipv6(address) => Ok(address.port),
    }
}

fn bound(port: u16) -> Result<TcpSocket, ErrorCode> {
    let socket = create_tcp_socket(IpAddressFamily::Ipv4)?;
    socket.start_bind(&instance_network(), local(port))?;
    socket.finish_bind()?;
    Ok(socket)
}

fn listening() -> Result<TcpSocket, ErrorCode> {
    let socket = bound(0)?;
    socket.start_listen()?;
    socket.finish_listen()?;
    Ok(socket)
}

fn connect(port: u16) -> Result<Connection, ErrorCode> {
    let socket = create_tcp_socket(IpAddressFamily::Ipv4)?;
    socket.start_connect(&instance_network(), local(port))?;
    socket.subscribe().block();
    let (input, output) = socket.finish_connect()?;
    Ok(Connection { input, output, socket })
}

fn pair() -> Result<(TcpSocket, Connection, Connection), ErrorCode> {
    let listener = listening()?;
    let client = connect(port(&listener)?)?;
    listener.subscribe().block();
    let (socket, input, output) = listener.accept()?;
    Ok((listener, client, Connection { input, output, socket }))
}

fn is(condition: bool, what: &'static str) -> Result<(), &'static str> {
    if condition { Ok(()) } else { Err(what) }
}

pub fn check() -> String {
    let checks = [
        binding, refusal, targets, half_close, receiving, nothing, polling, states, options, reset,
    ];
    for check in checks {
        if let Err(what) = check() {
            return what.to_owned();
        }
    }
    "ok".to_owned()
}

fn code(code: ErrorCode) -> &'static str {
    code.name()
}

fn binding() -> Result<(), &'static str> {
    let first = bound(0).map_err(code)?;
    let taken = port(&first).map_err(code)?;
    is(bound(taken).err() == Some(ErrorCode::AddressInUse), "a port is bound twice")?;
    drop(first);
    is(bound(taken).is_ok(), "a port that was given back cannot be bound")?;
    let other = create_tcp_socket(IpAddressFamily::Ipv4).map_err(code)?;
    let address = IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 0, address: (192, 0, 2, 1) });
    let refused = other.start_bind(&instance_network(), address);
    is(refused == Err(ErrorCode::AddressNotBindable), "somebody else's address is bound")
}

fn refusal() -> Result<(), &'static str> {
    let nobody = bound(0).map_err(code)?;
    let port = port(&nobody).map_err(code)?;
    is(connect(port).err() == Some(ErrorCode::ConnectionRefused), "nobody listens, and it connects")
}

fn targets() -> Result<(), &'static str> {
    let network = instance_network();
    let begin = |address| -> Result<(), ErrorCode> {
        create_tcp_socket(IpAddressFamily::Ipv4)?.start_connect(&network, address)
    };
    let v4 = |address, port| IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address });
    let v6 = IpSocketAddress::Ipv6(Ipv6SocketAddress {
        port: 80,
        flow_info: 0,
        address: (0, 0, 0, 0, 0, 0, 0, 1),
        scope_id: 0,
    });
    let invalid = Err(ErrorCode::InvalidArgument);
    is(begin(v4((0, 0, 0, 0), 80)) == invalid, "connecting to no address")?;
    is(begin(v4((127, 0, 0, 1), 0)) == invalid, "connecting to no port")?;
    is(begin(v6) == invalid, "connecting to the other family")?;
    let (listener, client, _server) = pair().map_err(code)?;
    let again = client.socket.start_connect(&network, local(port(&listener).map_err(code)?));
    is(again == Err(ErrorCode::InvalidState), "connecting twice")?;
    is(client.socket.start_listen() == Err(ErrorCode::InvalidState), "listening when connected")?;
    let bind = client.socket.start_bind(&network, local(0));
    is(bind == Err(ErrorCode::InvalidState), "binding when connected")
}

fn half_close() -> Result<(), &'static str> {
    let (_listener, client, server) = pair().map_err(code)?;
    client.output.blocking_write_and_flush(b"question").map_err(|_| "writing")?;
    client.socket.shutdown(ShutdownType::Send).map_err(code)?;
    is(matches!(client.output.check_write(), Err(StreamError::Closed)), "open after shutdown")?;
    let question = server.input.blocking_read(100).map_err(|_| "reading before the end")?;
    is(question == b"question", "what was sent before the end")?;
    is(matches!(server.input.blocking_read(100), Err(StreamError::Closed)), "no end")?;
    server.output.blocking_write_and_flush(b"answer").map_err(|_| "answering after the end")?;
    drop(server);
    is(client.input.blocking_read(100).is_ok_and(|read| read == b"answer"), "no answer")?;
    is(matches!(client.input.blocking_read(100), Err(StreamError::Closed)), "no end of the answer")
}

/// The end of receiving is not the peer's business.
fn receiving() -> Result<(), &'static str> {
    let (_listener, client, server) = pair().map_err(code)?;
    client.socket.shutdown(ShutdownType::Receive).map_err(code)?;
    is(matches!(client.input.read(10), Err(StreamError::Closed)), "reading after the end")?;
    server.output.blocking_write_and_flush(b"unheard").map_err(|_| "writing to the deaf")?;
    client.output.blocking_write_and_flush(b"heard").map_err(|_| "writing when deaf")?;
    is(server.input.blocking_read(10).is_ok_and(|read| read == b"heard"), "not heard")
}

fn nothing() -> Result<(), &'static str> {
    let (_listener, client, server) = pair().map_err(code)?;
    is(client.input.read(0).is_ok_and(|read| read.is_empty()), "reading nothing of nothing")?;
    is(client.input.read(10).is_ok_and(|read| read.is_empty()), "nothing is there")?;
    client.output.check_write().map_err(|_| "room")?;
    client.output.write(b"").map_err(|_| "writing nothing")?;
    client.output.flush().map_err(|_| "flushing nothing")?;
    is(server.input.read(10).is_ok_and(|read| read.is_empty()), "nothing became something")?;
    client.output.blocking_write_and_flush(b"x").map_err(|_| "writing")?;
    server.input.subscribe().block();
    is(server.input.read(0).is_ok_and(|read| read.is_empty()), "reading nothing of something")?;
    is(server.input.read(10).is_ok_and(|read| read == b"x"), "what was there is gone")
}

fn polling() -> Result<(), &'static str> {
    let (listener, client, server) = pair().map_err(code)?;
    let (accepts, reads) = (listener.subscribe(), server.input.subscribe());
    is(!accepts.ready() && !reads.ready(), "ready without a reason")?;
    is(client.output.subscribe().ready(), "no room in an empty connection")?;
    client.output.blocking_write_and_flush(b"x").map_err(|_| "writing")?;
    is(poll::poll(&[&accepts, &reads]) == [1], "what can be read is not ready")?;
    is(reads.ready(), "ready once only")?;
    let _second = connect(port(&listener).map_err(code)?).map_err(code)?;
    is(poll::poll(&[&accepts, &reads]) == [0, 1], "both are ready")?;
    // Until there is no room.
    while let Ok(room @ 1..) = client.output.check_write() {
        client.output.write(&vec![0; room as usize]).map_err(|_| "writing on")?;
    }
    let writes = client.output.subscribe();
    is(!writes.ready(), "room without end")?;
    while server.input.read(64 * 1024).is_ok_and(|read| !read.is_empty()) {}
    is(writes.ready(), "no room after everything was read")
}

fn states() -> Result<(), &'static str> {
    let socket = create_tcp_socket(IpAddressFamily::Ipv4).map_err(code)?;
    let state = Err(ErrorCode::InvalidState);
    is(socket.start_listen() == state, "listening without an address")?;
    is(socket.finish_bind() == Err(ErrorCode::NotInProgress), "the end of what was not begun")?;
    is(socket.local_address().err() == Some(ErrorCode::InvalidState), "an address of its own")?;
    is(socket.shutdown(ShutdownType::Both) == state, "the end of no connection")?;
    let listener = listening().map_err(code)?;
    is(listener.accept().err() == Some(ErrorCode::WouldBlock), "nobody has come")?;
    is(listener.is_listening(), "it does not say that it listens")
}

fn options() -> Result<(), &'static str> {
    let socket = bound(0).map_err(code)?;
    let invalid = Err(ErrorCode::InvalidArgument);
    is(socket.set_hop_limit(0) == invalid, "no hops")?;
    is(socket.set_keep_alive_count(0) == invalid, "no probes")?;
    is(socket.set_keep_alive_idle_time(0) == invalid, "no idle time")?;
    is(socket.set_keep_alive_interval(0) == invalid, "no interval")?;
    is(socket.set_receive_buffer_size(0) == invalid, "no buffer to receive")?;
    is(socket.set_send_buffer_size(0) == invalid, "no buffer to send")?;
    is(socket.set_listen_backlog_size(0) == invalid, "no backlog")?;
    socket.set_keep_alive_enabled(true).map_err(code)?;
    socket.set_hop_limit(42).map_err(code)?;
    socket.start_listen().map_err(code)?;
    socket.finish_listen().map_err(code)?;
    let _client = connect(port(&socket).map_err(code)?).map_err(code)?;
    socket.subscribe().block();
    let (accepted, input, output) = socket.accept().map_err(code)?;
    is(accepted.hop_limit() == Ok(42), "a limit that is not inherited")?;
    is(accepted.keep_alive_enabled() == Ok(true), "keep-alive that is not inherited")?;
    drop((input, output));
    Ok(())
}

fn reset() -> Result<(), &'static str> {
    let (_listener, client, server) = pair().map_err(code)?;
    drop(server);
    is(client.output.check_write().is_err(), "writing to nobody")?;
    is(matches!(client.input.blocking_read(10), Err(StreamError::Closed)), "the end that was clean")
}
