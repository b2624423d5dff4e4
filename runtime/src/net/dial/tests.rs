use std::{
    collections::VecDeque,
    net::Ipv4Addr,
    sync::atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use uuid::Uuid;
use wpaas_slug::{
    feed::EgressRule,
    log::{LogLine, LogSink},
};

use super::*;
use crate::net::{Options, Resolve};

#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl LogSink for Log {
    fn write(&self, line: LogLine) {
        self.0.lock().push(line.text);
    }
}

/// Gives one answer after the other, then none.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Resolve for Script {
    async fn resolve(&self, _name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(self.answers.lock().pop_front().unwrap_or_default())
    }
}

struct World {
    dialer: Dialer,
    log: Arc<Log>,
    script: Arc<Script>,
}

/// The operator allows loopback and addresses of the documentation, which stand for public ones.
fn world(rules: &[(&str, Option<u16>)], answers: &[&[&str]], limits: Limits) -> World {
    world_with(rules, answers, limits, &["127.0.0.0/8", "192.0.2.0/24"])
}

fn world_with(
    rules: &[(&str, Option<u16>)],
    answers: &[&[&str]],
    limits: Limits,
    networks: &[&str],
) -> World {
    let (log, script) = (Arc::new(Log::default()), Arc::new(Script::default()));
    for answer in answers {
        let answer = answer.iter().map(|address| address.parse().unwrap()).collect();
        script.answers.lock().push_back(answer);
    }
    let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
    let options = Options { resolver: Some(script.clone()), networks, ..Options::default() };
    let network = Network::new(options, Arc::new(limits)).unwrap();
    let rule = |(host, port): &(&str, Option<u16>)| EgressRule {
        host: (*host).into(),
        port: *port,
        tls: None,
        ca: None,
    };
    let egress = network.egress(&rules.iter().map(rule).collect::<Vec<_>>()).unwrap();
    let dyno = DynoLog::new(log.clone(), Uuid::nil(), "web.1", 1000);
    World { dialer: Dialer::new(network, egress, dyno), log, script }
}

impl World {
    async fn dial(&self, host: &str, port: u16) -> Result<Dialed, DialError> {
        let time = Duration::from_secs(30);
        self.dialer.dial(&Host::parse(host).unwrap(), port, time).await
    }

    fn line(&self) -> String {
        self.log.0.lock().last().cloned().unwrap_or_default()
    }
}

async fn server() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[tokio::test]
async fn a_closed_destination_is_not_even_looked_up() {
    let world = world(&[("other.example", None)], &[&["93.184.215.14"]], Limits::default());
    assert!(matches!(world.dial("secret.data.example", 443).await, Err(DialError::Denied)));
    assert_eq!(world.script.asked.load(Ordering::Relaxed), 0);
    assert_eq!(
        world.line(),
        "Connection to secret.data.example:443 denied: no rule of this release allows it; open it with \
         `wpaas egress:allow secret.data.example:443`"
    );
}

#[tokio::test]
async fn a_name_that_leads_inside_is_prohibited() {
    let (_listener, port) = server().await;
    let inside: &[&str] = &["127.0.0.1", "::1", "169.254.169.254", "::ffff:127.0.0.1"];
    for rule in ["*", "evil.example"] {
        let world = world_with(&[(rule, None)], &[inside], Limits::default(), &[]);
        assert!(matches!(world.dial("evil.example", port).await, Err(DialError::Prohibited)));
        let line = format!(
            "Connection to evil.example:{port} denied: its address 127.0.0.1 is a loopback address; the \
             operator of this node has not opened it to apps"
        );
        assert_eq!(world.line(), line);
    }
    let world = world(&[("*", None)], &[inside], Limits::default());
    assert!(matches!(world.dial("evil.example", port).await, Err(DialError::Prohibited)));
    let line = "a rule with * does not open that, one for the name or the address does";
    assert!(world.line().ends_with(line), "{}", world.line());
}

#[tokio::test]
async fn rebinding_finds_each_answer_checked() {
    let (_listener, port) = server().await;
    // An address of the documentation range, opened by a rule, stands for the public one: nobody answers.
    let rules = [("evil.example", None), ("192.0.2.1", None)];
    let answers: [&[&str]; 2] = [&["192.0.2.1"], &["127.0.0.1"]];
    let limits = Limits { egress_connect_ms: 50, ..Limits::default() };
    let world = world_with(&rules, &answers, limits, &["192.0.2.0/24"]);
    let time = Duration::from_millis(50);
    let first = world.dialer.dial(&Host::parse("evil.example").unwrap(), port, time).await;
    assert!(matches!(first, Err(DialError::Timeout | DialError::Io(_))));
    assert_eq!(
        world.script.asked.load(Ordering::Relaxed),
        1,
        "no second lookup for one connection"
    );
    assert!(matches!(world.dial("evil.example", port).await, Err(DialError::Prohibited)));
}

#[tokio::test]
async fn of_mixed_answers_only_the_permitted_are_used() {
    let (listener, port) = server().await;
    let rules = [("mixed.example", None), ("127.0.0.1", Some(port))];
    let answers: [&[&str]; 1] = [&["10.0.0.1", "169.254.169.254", "127.0.0.1"]];
    let world = world(&rules, &answers, Limits::default());
    let dialed = world.dial("mixed.example", port).await.unwrap();
    assert_eq!(dialed.stream.peer_addr().unwrap(), listener.local_addr().unwrap());
    assert_eq!(world.line(), "");
}

#[tokio::test]
async fn a_rule_for_the_address_opens_it_literally_and_by_name() {
    let (_listener, port) = server().await;
    let world = world(&[("127.0.0.0/8", Some(port))], &[&["127.0.0.1"]], Limits::default());
    for host in ["127.0.0.1", "db.lan"] {
        assert!(world.dial(host, port).await.is_ok(), "{host}");
    }
    assert!(matches!(world.dial("db.lan", port).await, Err(DialError::NotFound)));
    // Never asked of a resolver.
    assert!(world.dial("localhost", port).await.is_ok());
    assert!(matches!(world.dial("127.0.0.1", port - 1).await, Err(DialError::Denied)));
}

#[tokio::test]
async fn connections_of_a_dyno_and_of_the_node_are_limited() {
    let (_listener, port) = server().await;
    for limits in [
        Limits { dyno_connections: 2, ..Limits::default() },
        Limits { node_connections: 2, ..Limits::default() },
    ] {
        let world = world(&[("127.0.0.1", None)], &[], limits);
        let mut open = vec![];
        for _ in 0..2 {
            open.push(world.dial("127.0.0.1", port).await.unwrap());
        }
        assert!(matches!(world.dial("127.0.0.1", port).await, Err(DialError::TooMany)));
        assert!(world.line().contains("has 2 outgoing connections, which is the limit"));
        open.pop();
        assert!(world.dial("127.0.0.1", port).await.is_ok());
    }
}

/// Never answers, and tells when it is asked.
struct Silent(Arc<Semaphore>);

#[async_trait]
impl Resolve for Silent {
    async fn resolve(&self, _name: &str) -> io::Result<Vec<IpAddr>> {
        self.0.add_permits(1);
        std::future::pending().await
    }
}

#[tokio::test]
async fn lookups_count_until_they_end_whoever_waits_for_them() {
    let asked = Arc::new(Semaphore::new(0));
    let resolver: Arc<dyn Resolve> = Arc::new(Silent(Arc::clone(&asked)));
    let options = Options { resolver: Some(resolver), ..Options::default() };
    let limits = Limits { dyno_lookups: 2, ..Limits::default() };
    let network = Network::new(options, Arc::new(limits)).unwrap();
    let egress = network
        .egress(&[EgressRule { host: "*".into(), port: None, tls: None, ca: None }])
        .unwrap();
    let log = DynoLog::new(Arc::new(Log::default()), Uuid::nil(), "web.1", 1000);
    let dialer = Dialer::new(network, egress, log);
    let name = Host::parse("slow.example").unwrap();
    for _ in 0..5 {
        let dialed = dialer.dial(&name, 1, Duration::from_millis(10)).await;
        assert!(matches!(dialed, Err(DialError::Timeout)));
    }
    assert_eq!(asked.available_permits(), 2, "the others never got to the resolver");
    assert_eq!(dialer.connections.available_permits(), 256, "their places are free again");
}

#[tokio::test]
async fn no_more_addresses_are_tried_than_allowed() {
    let limits = Limits { egress_addresses: 2, ..Limits::default() };
    let (_listener, port) = server().await;
    // Closed ports of loopback addresses refuse at once; the third would answer.
    let answers: [&[&str]; 1] = [&["127.0.0.3", "127.0.0.2", "127.0.0.1"]];
    let world = world(&[("127.0.0.0/8", None)], &answers, limits);
    assert!(matches!(world.dial("many.example", port).await, Err(DialError::Io(_))));
}

#[test]
fn a_release_has_a_bounded_number_of_rules() {
    let limits = Limits { egress_rules: 2, ..Limits::default() };
    let network = Network::new(Options::default(), Arc::new(limits)).unwrap();
    let rule = EgressRule { host: "*".into(), port: None, tls: None, ca: None };
    assert!(network.egress(&vec![rule.clone(); 2]).is_ok());
    let error = network.egress(&vec![rule; 3]).err().unwrap();
    assert!(error.permanent(), "{error}");
}
