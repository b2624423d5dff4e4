//! `wasi:sockets/tcp` and `tcp-create-socket`.

use std::{net::SocketAddr, sync::Arc};

use tokio::sync::oneshot;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, SocketResult, TcpSocket,
    bindings::sockets::{
        network::{ErrorCode, IpAddressFamily, IpSocketAddress, Network},
        tcp::{self, ShutdownType},
        tcp_create_socket,
    },
    subscribe,
};

use super::{
    View, options, ours,
    socket::{Outcome, Socket, State, Step},
    streams::{Input, Output},
    theirs,
};
use wpaas_slug::egress::Host;

use crate::net::{
    conn::{GuestEnd, HostEnd},
    pipe::Pipe,
    splice::{self, Splice},
    vnet::{BindError, Unreachable, is_own, own_address},
};

type Streams = (Resource<DynInputStream>, Resource<DynOutputStream>);

impl View<'_> {
    fn socket(&mut self, handle: &Resource<TcpSocket>) -> SocketResult<&mut Socket> {
        Ok(self.table.get_mut(&ours(handle))?)
    }

    fn streams(
        &mut self,
        socket: &Resource<TcpSocket>,
        (input, output): (Arc<Pipe>, Arc<Pipe>),
    ) -> SocketResult<Streams> {
        let socket = ours::<_, Socket>(socket);
        let input: DynInputStream = Box::new(Input(input));
        let output: DynOutputStream = Box::new(Output(output));
        Ok((self.table.push_child(input, &socket)?, self.table.push_child(output, &socket)?))
    }
}

impl tcp_create_socket::Host for View<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        let vnet = self.net.vnet();
        let Some(permit) = vnet.socket() else {
            self.net.dialer().report("Socket refused: this dyno has as many as it may".to_owned());
            return Err(ErrorCode::NewSocketLimit.into());
        };
        Ok(theirs(self.table.push(Socket::new(vnet, family, permit))?))
    }
}

impl tcp::Host for View<'_> {}

impl tcp::HostTcpSocket for View<'_> {
    async fn start_bind(
        &mut self,
        this: Resource<TcpSocket>,
        network: Resource<Network>,
        local_address: IpSocketAddress,
    ) -> SocketResult<()> {
        self.table.get(&network)?;
        let socket = self.socket(&this)?;
        let address = SocketAddr::from(local_address);
        if socket.pending.is_some() {
            return Err(ErrorCode::ConcurrencyConflict.into());
        }
        if socket.local.is_some() || !matches!(socket.state, State::New) {
            return Err(ErrorCode::InvalidState.into());
        }
        socket.fits(address)?;
        socket.bind(address)?;
        Ok(socket.begin(Step::Bind)?)
    }

    fn finish_bind(&mut self, this: Resource<TcpSocket>) -> SocketResult<()> {
        Ok(self.socket(&this)?.finish(Step::Bind)?)
    }

    fn start_connect(
        &mut self,
        this: Resource<TcpSocket>,
        network: Resource<Network>,
        remote_address: IpSocketAddress,
    ) -> SocketResult<()> {
        self.table.get(&network)?;
        let net = self.net;
        let socket = self.socket(&this)?;
        let remote = SocketAddr::from(remote_address);
        if socket.pending.is_some() {
            return Err(ErrorCode::ConcurrencyConflict.into());
        }
        if !matches!(socket.state, State::New) {
            return Err(ErrorCode::InvalidState.into());
        }
        socket.fits(remote)?;
        if remote.ip().is_unspecified() || remote.port() == 0 {
            return Err(ErrorCode::InvalidArgument.into());
        }
        let bound = match socket.local {
            Some(bound) => bound,
            None => socket.bind(any_port(socket.family))?,
        };
        let local = SocketAddr::new(own_address(bound.ip(), remote.ip()), bound.port());
        socket.local = Some(local);
        let outside = |host| {
            let (end, far): (_, HostEnd) = GuestEnd::with_host(&socket.vnet.account);
            let dialer = Arc::clone(net.dialer());
            let Splice { outcome, closed } = splice::start(dialer, host, remote.port(), far);
            State::Connecting { remote, end, outcome: Outcome::Awaited(outcome), closed }
        };
        let inside = |(end, result)| {
            let (closed, _) = oneshot::channel();
            State::Connecting { remote, end, outcome: Outcome::Known(result), closed }
        };
        socket.state = if is_own(remote.ip()) {
            match socket.vnet.connect_to_self(local, remote) {
                Ok(end) => inside((end, Ok(()))),
                Err(why) => match net
                    .behind_loopback(remote)
                    .filter(|_| why == Unreachable::NotListening)
                {
                    Some(host) => outside(host),
                    None => inside((GuestEnd::pair(&socket.vnet.account).0, Err(unreachable(why)))),
                },
            }
        } else {
            outside(match socket.vnet.name_of(remote.ip()) {
                Some(name) => Host::Name(name),
                None => Host::address(remote.ip()),
            })
        };
        Ok(socket.begin(Step::Connect)?)
    }

    fn finish_connect(&mut self, this: Resource<TcpSocket>) -> SocketResult<Streams> {
        let socket = self.socket(&this)?;
        let State::Connecting { outcome, .. } = &mut socket.state else {
            return Err(ErrorCode::NotInProgress.into());
        };
        let result = outcome.get();
        if result == Err(ErrorCode::WouldBlock) {
            return Err(ErrorCode::WouldBlock.into());
        }
        socket.finish(Step::Connect)?;
        let before = std::mem::replace(&mut socket.state, State::Closed);
        result?;
        let State::Connecting { remote, mut end, closed, .. } = before else {
            return Err(ErrorCode::InvalidState.into());
        };
        end.taken = true;
        let shared = end.pipes();
        socket.state = State::Connected { remote, end, _closed: Some(closed) };
        self.streams(&this, shared)
    }

    async fn start_listen(&mut self, this: Resource<TcpSocket>) -> SocketResult<()> {
        let socket = self.socket(&this)?;
        if socket.pending.is_some() {
            return Err(ErrorCode::ConcurrencyConflict.into());
        }
        let (State::New, Some(bound)) = (&socket.state, socket.bound) else {
            return Err(ErrorCode::InvalidState.into());
        };
        let backlog = socket.vnet.listen(bound, socket.options.backlog);
        socket.state = State::Listening { backlog, next: None };
        Ok(socket.begin(Step::Listen)?)
    }

    fn finish_listen(&mut self, this: Resource<TcpSocket>) -> SocketResult<()> {
        Ok(self.socket(&this)?.finish(Step::Listen)?)
    }

    fn accept(
        &mut self,
        this: Resource<TcpSocket>,
    ) -> SocketResult<(Resource<TcpSocket>, Resource<DynInputStream>, Resource<DynOutputStream>)>
    {
        let socket = self.socket(&this)?;
        let mut incoming = socket.next_incoming()?;
        let Some(permit) = socket.vnet.socket() else {
            socket.put_back(incoming);
            return Err(ErrorCode::NewSocketLimit.into());
        };
        let mut accepted = Socket::new(&socket.vnet, socket.family, permit);
        accepted.options = socket.options;
        accepted.local = socket.local.map(|local| {
            SocketAddr::new(own_address(local.ip(), incoming.peer.ip()), local.port())
        });
        incoming.end.taken = true;
        let shared = incoming.end.pipes();
        let (remote, end) = (incoming.peer, incoming.end);
        accepted.state = State::Connected { remote, end, _closed: None };
        let accepted = theirs(self.table.push(accepted)?);
        let (input, output) = self.streams(&accepted, shared)?;
        Ok((accepted, input, output))
    }

    fn local_address(&mut self, this: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        let local = self.socket(&this)?.local;
        Ok(local.ok_or(ErrorCode::InvalidState)?.into())
    }

    fn remote_address(&mut self, this: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        match &self.socket(&this)?.state {
            State::Connected { remote, .. } => Ok((*remote).into()),
            _ => Err(ErrorCode::InvalidState.into()),
        }
    }

    fn is_listening(&mut self, this: Resource<TcpSocket>) -> wasmtime::Result<bool> {
        let socket: &Socket = self.table.get(&ours(&this))?;
        Ok(matches!(socket.state, State::Listening { .. }))
    }

    fn address_family(&mut self, this: Resource<TcpSocket>) -> wasmtime::Result<IpAddressFamily> {
        let socket: &Socket = self.table.get(&ours(&this))?;
        Ok(socket.family)
    }

    fn set_listen_backlog_size(
        &mut self,
        this: Resource<TcpSocket>,
        value: u64,
    ) -> SocketResult<()> {
        let socket = self.socket(&this)?;
        match socket.state {
            State::New => {
                let size = usize::try_from(value).unwrap_or(usize::MAX);
                Ok(options::set(&mut socket.options.backlog, size)?)
            }
            State::Listening { .. } => Err(ErrorCode::NotSupported.into()),
            _ => Err(ErrorCode::InvalidState.into()),
        }
    }

    fn keep_alive_enabled(&mut self, this: Resource<TcpSocket>) -> SocketResult<bool> {
        Ok(self.socket(&this)?.options.keep_alive)
    }

    fn set_keep_alive_enabled(
        &mut self,
        this: Resource<TcpSocket>,
        value: bool,
    ) -> SocketResult<()> {
        self.socket(&this)?.options.keep_alive = value;
        Ok(())
    }

    fn keep_alive_idle_time(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(self.socket(&this)?.options.keep_alive_idle)
    }

    fn set_keep_alive_idle_time(
        &mut self,
        this: Resource<TcpSocket>,
        value: u64,
    ) -> SocketResult<()> {
        Ok(options::set(&mut self.socket(&this)?.options.keep_alive_idle, value)?)
    }

    fn keep_alive_interval(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(self.socket(&this)?.options.keep_alive_interval)
    }

    fn set_keep_alive_interval(
        &mut self,
        this: Resource<TcpSocket>,
        value: u64,
    ) -> SocketResult<()> {
        Ok(options::set(&mut self.socket(&this)?.options.keep_alive_interval, value)?)
    }

    fn keep_alive_count(&mut self, this: Resource<TcpSocket>) -> SocketResult<u32> {
        Ok(self.socket(&this)?.options.keep_alive_count)
    }

    fn set_keep_alive_count(&mut self, this: Resource<TcpSocket>, value: u32) -> SocketResult<()> {
        Ok(options::set(&mut self.socket(&this)?.options.keep_alive_count, value)?)
    }

    fn hop_limit(&mut self, this: Resource<TcpSocket>) -> SocketResult<u8> {
        Ok(self.socket(&this)?.options.hop_limit)
    }

    fn set_hop_limit(&mut self, this: Resource<TcpSocket>, value: u8) -> SocketResult<()> {
        Ok(options::set(&mut self.socket(&this)?.options.hop_limit, value)?)
    }

    fn receive_buffer_size(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(self.socket(&this)?.options.receive_buffer)
    }

    fn set_receive_buffer_size(
        &mut self,
        this: Resource<TcpSocket>,
        value: u64,
    ) -> SocketResult<()> {
        Ok(options::set(&mut self.socket(&this)?.options.receive_buffer, value)?)
    }

    fn send_buffer_size(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(self.socket(&this)?.options.send_buffer)
    }

    fn set_send_buffer_size(&mut self, this: Resource<TcpSocket>, value: u64) -> SocketResult<()> {
        Ok(options::set(&mut self.socket(&this)?.options.send_buffer, value)?)
    }

    fn subscribe(&mut self, this: Resource<TcpSocket>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, ours::<_, Socket>(&this))
    }

    fn shutdown(&mut self, this: Resource<TcpSocket>, how: ShutdownType) -> SocketResult<()> {
        let State::Connected { end, .. } = &self.socket(&this)?.state else {
            return Err(ErrorCode::InvalidState.into());
        };
        if matches!(how, ShutdownType::Receive | ShutdownType::Both) {
            end.input.discard();
        }
        if matches!(how, ShutdownType::Send | ShutdownType::Both) {
            end.output.close();
        }
        Ok(())
    }

    fn drop(&mut self, this: Resource<TcpSocket>) -> wasmtime::Result<()> {
        self.table.delete(ours::<_, Socket>(&this))?;
        Ok(())
    }
}

fn any_port(family: IpAddressFamily) -> SocketAddr {
    match family {
        IpAddressFamily::Ipv4 => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddressFamily::Ipv6 => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

fn unreachable(why: Unreachable) -> ErrorCode {
    match why {
        // Linux lets a connection to a full backlog wait; a guest that waits for itself waits for ever.
        Unreachable::NotListening | Unreachable::Full => ErrorCode::ConnectionRefused,
        Unreachable::Dead => ErrorCode::ConnectionAborted,
    }
}

impl From<BindError> for ErrorCode {
    fn from(error: BindError) -> Self {
        match error {
            BindError::InUse => Self::AddressInUse,
            BindError::NotOwn => Self::AddressNotBindable,
        }
    }
}
