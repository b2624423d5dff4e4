//! The tests' guest: each route does one thing that the runtime must serve, bound or survive.
//!
//! | route | does |
//! |---|---|
//! | `/ok` | answers `ok` |
//! | `/request` | method, scheme, authority, target and headers as the guest sees them, a line each |
//! | `/status?code=` | answers with that status |
//! | `/header?name=&value=` | answers with that header |
//! | `/headers?n=&bytes=` | answers with `n` headers of `bytes` each |
//! | `/echo` | streams the request's body back |
//! | `/upload?ms=` | reads the body, `ms` between two reads, and answers its length |
//! | `/big?bytes=&chunk=` | streams `bytes` bytes `x` |
//! | `/sse?n=&ms=` | `n` events (3), `ms` apart (100) |
//! | `/trailers` | answers with a trailer `x-checksum: 4` after the body `body` |
//! | `/slow?ms=` | answers after `ms` |
//! | `/after?ms=&spin=` | answers, then goes on for `ms` (or spins for ever) and logs `after done` |
//! | `/partial?how=` | promises 10 bytes, sends 5, then `trap`s, `end`s, or `hang`s |
//! | `/no-response` | returns without a response |
//! | `/error` | answers with `internal-error("asked for")` instead of a response |
//! | `/trap`, `/exit?code=`, `/spin`, `/stack` | panics, exits, loops, recurses without end |
//! | `/alloc?bytes=` | keeps `bytes` more bytes of memory; without `bytes`: more and more, for ever |
//! | `/handles?n=` | keeps `n` more host handles; without `n`: more and more, for ever |
//! | `/count` | requests this instance has served, this one included |
//! | `/instance` | a random number drawn once per instance |
//! | `/env`, `/args`, `/stdin` | the dyno's variables (sorted), arguments, standard input |
//! | `/log?lines=&bytes=&to=` | prints lines of `bytes` bytes to `stdout` or `stderr` |
//! | `/log-raw?text=` | prints `text` (percent-decoded) as it is, without a newline |
//! | `/read?path=`, `/ls?path=` | a file's content, a directory's names |
//! | `/write?path=&bytes=` | writes a file |
//! | `/write-app`, `/write-tmp?bytes=` | the same for `/app/attack`, `/tmp/attack` |
//! | `/symlink?target=&path=` | makes a symlink |
//! | `/fs/put`, `append`, `rename`, `link`, `mkdir`, `rmdir`, `rm`, `grow` | what `path` (`to`, `text`, `bytes`) say |
//! | `/fs/unlinked?path=` | writes and reads a file after removing its name |
//! | `/fs/round-trip?path=` | what programs do with files, in that new directory |
//! | `/fs/fill?path=` | makes files in a directory until refused |
//! | `/fs/open?path=&to=&n=` | opens and reads `path` of the directory `to` `n` times and keeps it open |
//! | `/fs/at?path=&to=` | reads `path` of the preopened directory `to` through the raw interface |
//! | `/outgoing?url=&connect_ms=&first_byte_ms=&idle_ms=` | an outgoing HTTP request, its body this one's |
//! | `/tcp?addr=`, `/listen?addr=`, `/dns?name=` | tries sockets |
//! | `/talk?to=HOST:PORT&text=` | sends `text`, closes its half, answers what comes until the end |
//! | `/keep?to=HOST:PORT&text=` | sends `text` and keeps the connection in the instance |
//! | `/flood?to=HOST:PORT&close=` | writes to a connection while that goes without waiting; keeps or closes it |
//! | `/self?text=&bytes=` | sends `text` (or `bytes` bytes) through a connection to itself |
//! | `/sockets?n=` | keeps `n` more sockets, or as many as it gets, and answers how many it has |
//! | `/random?bytes=`, `/clock` | random bytes in hex, wall clock in Unix seconds |
//!
//! A thing that the host refuses is answered with 200 and a line `refused: REASON`, so that a test sees that
//! the guest went on. Unknown routes answer 404.

mod disk;
mod files;
mod http;
mod limits;
mod network;
mod sockets;
mod streams;

use std::cell::Cell;

use http::{Reply, Request};
use wasip2::http::proxy::export;
use wasip2::http::types::{ErrorCode, IncomingRequest, ResponseOutparam};

thread_local! {
    static REQUESTS: Cell<u64> = const { Cell::new(0) };
    static INSTANCE: Cell<u64> = const { Cell::new(0) };
}

struct Attack;

impl wasip2::exports::http::incoming_handler::Guest for Attack {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let count = REQUESTS.get() + 1;
        REQUESTS.set(count);
        let request = Request::new(request);
        let reply = Reply::new(out);
        match request.path() {
            "/ok" => reply.text("ok"),
            "/request" => reply.text(&request.describe()),
            "/status" => reply.status(request.number("code").unwrap_or(200) as u16).text("status"),
            "/header" => reply.header(&request.text("name"), &request.text("value")).text("header"),
            "/headers" => streams::headers(&request, reply),
            "/echo" => streams::echo(&request, reply),
            "/whole" => streams::whole(&request, reply),
            "/oversized" => streams::oversized(reply),
            "/upload" => streams::upload(&request, reply),
            "/big" => streams::big(&request, reply),
            "/sse" => streams::events(&request, reply),
            "/trailers" => streams::trailers(reply),
            "/slow" => {
                http::sleep_ms(request.number("ms").unwrap_or(100));
                reply.text("slow");
            }
            "/after" => streams::after(&request, reply),
            "/partial" => streams::partial(&request, reply),
            "/no-response" => {}
            "/error" => reply.fail(ErrorCode::InternalError(Some("asked for".to_owned()))),
            "/trap" => panic!("asked for a trap"),
            "/exit" => std::process::exit(request.number("code").unwrap_or(1) as i32),
            "/spin" => limits::spin(),
            "/stack" => reply.text(&limits::recurse(1).to_string()),
            "/alloc" => reply.text(&limits::allocate(request.number("bytes"))),
            "/handles" => reply.text(&limits::handles(request.number("n"))),
            "/count" => reply.text(&count.to_string()),
            "/instance" => reply.text(&instance().to_string()),
            "/env" => reply.text(&environment()),
            "/args" => reply.text(&wasip2::cli::environment::get_arguments().join("\n")),
            "/stdin" => reply.text(&files::stdin()),
            "/log" => {
                limits::log(&request);
                reply.text("logged");
            }
            "/log-raw" => {
                use std::io::Write;
                let mut stdout = std::io::stdout();
                let _ = stdout.write_all(request.text("text").as_bytes());
                let _ = stdout.flush();
                reply.text("logged");
            }
            "/read" => reply.text(&files::read(&request.text("path"))),
            "/ls" => reply.text(&files::list(&request.text("path"))),
            "/write" => reply.text(&files::write(&request.text("path"), &request)),
            "/write-app" => reply.text(&files::write("/app/attack", &request)),
            "/write-tmp" => reply.text(&files::write("/tmp/attack", &request)),
            "/symlink" => {
                reply.text(&files::symlink(&request.text("target"), &request.text("path")))
            }
            path if path.starts_with("/fs/") => {
                reply.text(&disk::operate(path.trim_start_matches("/fs/"), &request))
            }
            "/outgoing" => reply.text(&network::outgoing(&request)),
            "/talk" => {
                let (to, text) = (request.text("to"), request.text("text"));
                reply.text(&sockets::talk(&to, &text, true))
            }
            "/ask" => {
                let text = format!("{}\r\n\r\n", request.text("text").replace('|', "\r\n"));
                reply.text(&sockets::talk(&request.text("to"), &text, false))
            }
            "/keep" => reply.text(&sockets::keep(&request.text("to"), &request.text("text"))),
            "/flood" => {
                reply.text(&sockets::flood(&request.text("to"), request.find("close").is_some()))
            }
            "/self" => reply.text(&sockets::to_itself(&request)),
            "/sockets" => reply.text(&sockets::many(request.number("n"))),
            "/tcp" => reply.text(&network::connect(&request.text("addr"))),
            "/listen" => reply.text(&network::listen(&request.text("addr"))),
            "/dns" => reply.text(&network::resolve(&request.text("name"))),
            "/random" => {
                let bytes =
                    wasip2::random::random::get_random_bytes(request.number("bytes").unwrap_or(16));
                reply.text(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
            }
            "/clock" => {
                reply.text(&wasip2::clocks::wall_clock::now().seconds.to_string());
            }
            _ => reply.status(404).text("no such route"),
        }
    }
}

fn instance() -> u64 {
    if INSTANCE.get() == 0 {
        INSTANCE.set(wasip2::random::random::get_random_u64() | 1);
    }
    INSTANCE.get()
}

fn environment() -> String {
    let mut variables = wasip2::cli::environment::get_environment();
    variables.sort();
    variables.into_iter().map(|(name, value)| name + "=" + &value + "\n").collect()
}

export!(Attack with_types_in wasip2);
