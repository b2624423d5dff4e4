use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::net::pipe::{End, Ended};

fn vnet() -> Arc<VNet> {
    VNet::new(&Limits { socket_backlog: 2, dyno_sockets: 3, dyno_names: 2, ..Limits::default() })
}

fn on(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

#[test]
fn only_the_dynos_own_addresses_can_be_bound_and_each_port_once() {
    let vnet = vnet();
    let (bound, address) = vnet.bind(on("0.0.0.0:8080")).unwrap();
    assert_eq!(address, on("0.0.0.0:8080"));
    assert_eq!(vnet.bind(on("127.0.0.1:8080")).unwrap_err(), BindError::InUse);
    assert!(vnet.bind(on("[::]:8080")).is_ok(), "sockets of WASI are v6 only");
    for other in ["192.168.0.1:80", "8.8.8.8:80", "198.18.1.0:80", "[fe80::1]:80"] {
        assert_eq!(vnet.bind(on(other)).unwrap_err(), BindError::NotOwn, "{other}");
    }
    vnet.unbind(bound);
    assert!(vnet.bind(on("198.18.0.1:8080")).is_ok());
}

#[test]
fn ports_without_a_wish_are_found_until_there_are_none() {
    let vnet = vnet();
    let free = usize::from(u16::MAX - FIRST_EPHEMERAL) + 1;
    let ports: BTreeSet<u16> =
        (0..free).map(|_| vnet.bind(on("127.0.0.1:0")).unwrap().1.port()).collect();
    assert_eq!((ports.len(), ports.first()), (free, Some(&FIRST_EPHEMERAL)));
    assert_eq!(vnet.bind(on("127.0.0.1:0")).unwrap_err(), BindError::InUse);
}

#[test]
fn two_dynos_have_the_same_port() {
    let (one, other) = (vnet(), vnet());
    assert!(one.bind(on("0.0.0.0:8080")).is_ok() && other.bind(on("0.0.0.0:8080")).is_ok());
}

#[test]
fn sockets_and_names_are_limited() {
    let vnet = vnet();
    let sockets: Vec<_> = (0..3).map(|_| vnet.socket().unwrap()).collect();
    assert!(vnet.socket().is_none());
    drop(sockets);
    assert!(vnet.socket().is_some());
    let names = ["a", "b", "c"].map(|name| vnet.address_of(&name.into()));
    assert!(names[1].is_some() && names[2].is_none());
    assert_eq!(vnet.name_of(names[0].unwrap().into()).as_deref(), Some("a"));
}

#[tokio::test]
async fn a_dial_reaches_whoever_listens_and_half_a_close_leaves_the_other_half() {
    let vnet = vnet();
    assert_eq!(vnet.dial(8080).err(), Some(Unreachable::NotListening));
    let (bound, _) = vnet.bind(on("0.0.0.0:8080")).unwrap();
    assert_eq!(vnet.dial(8080).err(), Some(Unreachable::NotListening));
    let mut backlog = vnet.listen(bound, 128);
    let mut host = vnet.dial(8080).unwrap();
    let mut incoming = backlog.recv().await.unwrap();
    assert_eq!(incoming.peer.ip(), ROUTER);
    incoming.end.taken = true;
    host.write_all(b"request").await.unwrap();
    host.shutdown().await.unwrap();
    let end = &incoming.end;
    assert_eq!(end.input.read(100).unwrap(), "request");
    assert_eq!(end.input.read(100), Err(Ended::Clean));
    end.output.grant().unwrap();
    end.output.write("response".into()).unwrap().unwrap();
    drop(incoming);
    let mut answer = String::new();
    host.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "response");
}

#[tokio::test]
async fn who_is_not_accepted_is_reset_and_a_full_backlog_refuses() {
    let vnet = vnet();
    let (bound, _) = vnet.bind(on("[::1]:8080")).unwrap();
    // The guest's wish is cut to the limit of two.
    let backlog = vnet.listen(bound, usize::MAX);
    let mut waiting = vec![vnet.dial(8080).unwrap(), vnet.dial(8080).unwrap()];
    assert_eq!(vnet.dial(8080).err(), Some(Unreachable::Full));
    drop(backlog);
    for host in &mut waiting {
        let error = host.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn the_end_of_a_dyno_is_a_reset_for_everybody_who_talks_to_it() {
    let vnet = vnet();
    let (bound, _) = vnet.bind(on("0.0.0.0:8080")).unwrap();
    let mut backlog = vnet.listen(bound, 128);
    let mut host = vnet.dial(8080).unwrap();
    let mut incoming = backlog.recv().await.unwrap();
    incoming.end.taken = true;
    incoming.end.output.grant().unwrap();
    incoming.end.output.write("half of".into()).unwrap().unwrap();
    let mut listening = vnet.listening();
    assert!(listening.borrow_and_update().contains(&8080));
    let reading = tokio::spawn(async move {
        let mut all = Vec::new();
        let error = host.read_to_end(&mut all).await.unwrap_err();
        (error.kind(), host)
    });
    vnet.kill();
    drop((incoming, backlog));
    let (kind, mut host) = reading.await.unwrap();
    assert_eq!(kind, std::io::ErrorKind::ConnectionReset);
    assert!(host.write_all(b"x").await.is_err());
    assert_eq!(vnet.dial(8080).err(), Some(Unreachable::Dead));
    assert!(!listening.borrow_and_update().contains(&8080));
    drop(host);
    assert_eq!(vnet.account.used(), 0);
    assert_eq!(Arc::strong_count(&vnet.account), 1, "no pipe is left");
}

#[tokio::test]
async fn a_host_that_goes_without_a_shutdown_resets_the_guest() {
    let vnet = vnet();
    let (guest, mut host) = GuestEnd::with_host(&vnet.account);
    host.write_all(b"half").await.unwrap();
    drop(host);
    assert_eq!(guest.input.read(100), Err(Ended::Reset));
    assert!(guest.output.grant().is_err());
}

#[tokio::test]
async fn a_guest_that_does_not_read_stops_the_host_at_the_window() {
    let vnet = vnet();
    let (guest, mut host) = GuestEnd::with_host(&vnet.account);
    let writing = tokio::spawn(async move {
        let written = host.write_all(&vec![7; 1 << 20]).await;
        (written.is_ok(), host)
    });
    let window = 128 * 1024;
    let mut read = 0;
    while read < 1 << 20 {
        std::future::poll_fn(|cx| guest.input.poll_readable(cx)).await;
        assert!(vnet.account.used() <= window);
        read += guest.input.read(usize::MAX).unwrap().len();
    }
    assert!(writing.await.unwrap().0);
}

#[tokio::test]
async fn the_ports_it_listens_on_can_be_awaited() {
    let vnet = vnet();
    let mut listening = vnet.listening();
    let waiting = tokio::spawn(async move {
        listening.wait_for(|ports| ports.contains(&8080)).await.unwrap().clone()
    });
    let (bound, _) = vnet.bind(on("[::]:8080")).unwrap();
    let _backlog = vnet.listen(bound, 1);
    assert_eq!(waiting.await.unwrap(), BTreeSet::from([8080]));
    vnet.unbind(bound);
    assert!(vnet.listening().borrow().is_empty());
}

#[test]
fn a_dyno_reaches_itself() {
    let vnet = vnet();
    let (bound, to) = vnet.bind(on("127.0.0.1:5000")).unwrap();
    let from = on("127.0.0.1:49152");
    assert_eq!(vnet.connect_to_self(from, to).err(), Some(Unreachable::NotListening));
    let mut backlog = vnet.listen(bound, 1);
    let client = vnet.connect_to_self(from, to).unwrap();
    client.output.grant().unwrap();
    client.output.write("to myself".into()).unwrap().unwrap();
    client.output.end(End::Clean);
    let incoming = backlog.try_recv().unwrap();
    assert_eq!(incoming.peer, from);
    assert_eq!(incoming.end.input.read(100).unwrap(), "to myself");
    assert_eq!(incoming.end.input.read(100), Err(Ended::Clean));
    drop((client, incoming, backlog));
    assert_eq!(Arc::strong_count(&vnet.account), 1);
}

#[test]
fn an_accepted_connection_says_where_it_came_to() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    assert_eq!(own_address(ip("0.0.0.0"), ip("127.0.0.1")), ip("127.0.0.1"));
    assert_eq!(own_address(ip("0.0.0.0"), ip("8.8.8.8")), IpAddr::from(OWN));
    assert_eq!(own_address(ip("::"), ip("2606:4700::1111")), ip("::1"));
    assert_eq!(own_address(ip("127.0.0.1"), ip("8.8.8.8")), ip("127.0.0.1"));
}

#[tokio::test]
async fn connections_from_the_router_differ() {
    let vnet = vnet();
    let (bound, _) = vnet.bind(on("0.0.0.0:8080")).unwrap();
    let mut incoming = vnet.listen(bound, 2);
    let _both = (vnet.dial(8080).unwrap(), vnet.dial(8080).unwrap());
    let (one, other) = (incoming.recv().await.unwrap(), incoming.recv().await.unwrap());
    assert_ne!(one.peer, other.peer);
}
