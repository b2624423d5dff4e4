//! Bad neighbours: one app attacks the node, another one must not notice. For each attack the victim's latency is
//! measured alone and then beside it, and the attacker's log must name the limit that stopped it.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    task::JoinSet,
};

use crate::{
    component,
    load::{Ask, Outcome, open_loop},
    report::{self, Target, max_ms, percentile_ms},
    server::{self, Server},
};

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seconds of each measurement
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Requests a second to the victim
    #[arg(long, default_value_t = 300)]
    rate: u32,
    /// Attacks at the same time
    #[arg(long, default_value_t = 4)]
    attackers: usize,
}

/// What the attacker's clients do with the answer.
#[derive(Clone, Copy)]
enum Client {
    /// Read it.
    Reads,
    /// Leave it in the socket's buffers.
    Stalls,
}

/// One kind of neighbour.
struct Attack {
    name: &'static str,
    path: &'static str,
    client: Client,
    /// What its log must say, any of these.
    stopped_by: &'static [&'static str],
}

const ATTACKS: &[Attack] = &[
    Attack {
        name: "spins",
        path: "/spin",
        client: Client::Reads,
        stopped_by: &["code=H12", "code=H13"],
    },
    Attack {
        name: "allocates without end",
        path: "/alloc",
        client: Client::Reads,
        stopped_by: &["Error R15"],
    },
    Attack {
        name: "floods its log",
        path: "/log?lines=1000000000",
        client: Client::Reads,
        stopped_by: &["Error L10"],
    },
    Attack {
        name: "opens handles without end",
        path: "/handles",
        client: Client::Reads,
        stopped_by: &["code=H13", "code=H10"],
    },
    Attack {
        name: "opens sockets without end",
        path: "/sockets",
        client: Client::Reads,
        stopped_by: &["refused: new-socket-limit"],
    },
    Attack {
        name: "streams to a client that stalls",
        path: "/big?bytes=1000000000000",
        client: Client::Stalls,
        stopped_by: &["code=H15", "code=H28"],
    },
    Attack {
        name: "streams to a client that reads",
        path: "/big?bytes=1000000000000",
        client: Client::Reads,
        stopped_by: &["code=H18"],
    },
];

/// Limits low enough to be hit within a measurement.
const LIMITS: [(&str, &str); 5] = [
    ("WPAAS_LIMIT_FIRST_BYTE_MS", "2000"),
    ("WPAAS_LIMIT_IDLE_MS", "2000"),
    ("WPAAS_LIMIT_AFTER_RESPONSE_MS", "2000"),
    ("WPAAS_LIMIT_REQUEST_CPU_MS", "500"),
    ("WPAAS_LIMIT_DYNO_MEMORY_BYTES", "134217728"),
];

/// Between two attacks; longer than what is left of one may go on.
const SETTLE: Duration = Duration::from_secs(5);
/// How long a client that stalls stays; longer than the limit.
const STALL: Duration = Duration::from_secs(4);

/// How much of an attack's answer is looked at, in bytes.
const BEGINNING: usize = 4 * 1024;

/// Where tests/setup/guests.sh puts the attacking component.
fn attack_component() -> anyhow::Result<PathBuf> {
    let cache = match std::env::var_os("WPAAS_TEST_CACHE") {
        Some(directory) => PathBuf::from(directory),
        None => component::cache()?.with_file_name("wpaas-tests"),
    };
    Ok(cache.join("guests/attack.wasm"))
}

/// Measures, prints the table, keeps it, and fails when a target is missed.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let home = server::home()?;
    let server = Server::start(&home, &LIMITS).await?;
    server.deploy("victim", component::app(&component::rust_hello().await?)?.path()).await?;
    let attacker = component::app(&attack_component()?)?;
    let mut text = format!(
        "The victim is Rust hello under {} requests a second, not waiting for answers; {} requests of the \
         attack are always under way. Limits lowered to be hit in time: {}.\n\n\
         | the neighbour | victim alone: p50, p99 ms | beside it: p50, p99, max ms | ratio of p99 | errors | \
         attacks ended | stopped by |\n|---|---|---|---|---|---|---|\n",
        args.rate,
        args.attackers,
        LIMITS.map(|(name, value)| format!("`{name}={value}`")).join(", "),
    );
    let mut targets = Vec::new();
    for (number, attack) in ATTACKS.iter().enumerate() {
        eprintln!("a neighbour that {}", attack.name);
        // An app for each attack, so that each log tells of one.
        let app = format!("attack-{number}");
        server.deploy(&app, attacker.path()).await?;
        let alone = victim(&server, &args).await?;
        let beside = beside(&server, &args, attack, &app).await?;
        let told = &beside.told;
        let mark = attack.stopped_by.iter().find(|mark| told.contains(**mark));
        let of = |outcome: &Outcome, percent| percentile_ms(&outcome.latencies, percent);
        let ratio = of(&beside.victim, 99.0) / of(&alone, 99.0);
        let _ = writeln!(
            text,
            "| {} | {:.2}, {:.2} | {:.2}, {:.2}, {:.2} | {ratio:.2} | {} | {} | {} |",
            attack.name,
            of(&alone, 50.0),
            of(&alone, 99.0),
            of(&beside.victim, 50.0),
            of(&beside.victim, 99.0),
            max_ms(&beside.victim.latencies),
            alone.errors.len() + beside.victim.errors.len(),
            beside.ended,
            told.iter().cloned().collect::<Vec<_>>().join(", "),
        );
        for error in beside.victim.errors.iter().take(3) {
            eprintln!("  the victim: {error}");
        }
        let what = format!("beside one that {}: ratio of p99", attack.name);
        targets.push(Target::below(what, 3.0, ratio, "×"));
        let what = format!("one that {} is stopped by its limit", attack.name);
        targets.push(Target::so(what, mark.copied().unwrap_or("no"), mark.is_some()));
        let errors = (alone.errors.len() + beside.victim.errors.len()) as f64;
        if errors > 0.0 {
            let what = format!("the victim's errors beside one that {}", attack.name);
            targets.push(Target::below(what, 1.0, errors, "requests"));
        }
    }
    report::conclude("neighbours", &text, &targets)
}

/// What a line or an answer says of limits: `code=H12`, `Error R15`, `refused: new-socket-limit`.
fn marks(text: &str) -> impl Iterator<Item = String> {
    ["code=", "Error ", "refused: "].into_iter().filter_map(move |prefix| {
        let (_, rest) = text.split_once(prefix)?;
        let word = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
        Some(format!("{prefix}{}", rest.chars().take_while(word).collect::<String>()))
    })
}

async fn victim(server: &Server, args: &Args) -> anyhow::Result<Outcome> {
    let ask = |_| Ask { host: Server::host("victim"), text: "Hello from Rust!".into() };
    open_loop(&server.url, args.rate, Duration::from_secs(args.seconds), ask).await
}

/// The victim under an attack.
struct Beside {
    victim: Outcome,
    /// Attacks that ended meanwhile; new ones took their places.
    ended: u64,
    /// What the attacker was told.
    told: BTreeSet<String>,
}

async fn beside(
    server: &Server,
    args: &Args,
    attack: &Attack,
    app: &str,
) -> anyhow::Result<Beside> {
    let address = server.url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let (path, client, host) = (attack.path, attack.client, Server::host(app));
    let (ended, told) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(BTreeSet::new())));
    // Followed from the start: a flood leaves nothing of the past.
    let mut tail = server.tail(app, "heroku")?;
    let lines = tail.stdout.take().context("no stdout")?;
    let listening = tokio::spawn({
        let told = Arc::clone(&told);
        async move {
            let mut lines = BufReader::new(lines).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                told.lock().extend(marks(&line));
            }
        }
    });
    let mut attackers = JoinSet::new();
    for _ in 0..args.attackers {
        let (address, host) = (address.clone(), host.clone());
        let (ended, told) = (Arc::clone(&ended), Arc::clone(&told));
        attackers.spawn(async move {
            loop {
                // A connection that is cut is how some attacks have to end.
                if let Ok(answer) = one_attack(&address, &host, path, client).await {
                    told.lock().extend(marks(&answer));
                }
                ended.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    // The attack is under way before the victim is looked at.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let victim = victim(server, args).await?;
    let ended = ended.load(Ordering::Relaxed);
    attackers.shutdown().await;
    // What was under way ends before the next victim is measured alone.
    tokio::time::sleep(SETTLE).await;
    tail.kill().await?;
    listening.await?;
    let told = std::mem::take(&mut *told.lock());
    Ok(Beside { victim, ended, told })
}

/// One request of the attack, to the end of its connection. Returns the beginning of the answer.
async fn one_attack(
    address: &str,
    host: &str,
    path: &str,
    client: Client,
) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut beginning = Vec::new();
    match client {
        Client::Reads => {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let count = stream.read(&mut buffer).await?;
                if count == 0 {
                    break;
                }
                if beginning.len() < BEGINNING {
                    beginning.extend(buffer.iter().take(count));
                }
            }
        }
        Client::Stalls => {
            // Once the server has given up, what it sent before is still there to read, and then the end.
            tokio::time::sleep(STALL).await;
        }
    }
    Ok(String::from_utf8_lossy(&beginning).into_owned())
}
