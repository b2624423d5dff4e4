//! A CGI program (RFC 3875): each route does one thing that the host must serve, bound or survive.
//!
//! | route | does |
//! |---|---|
//! | `/env` | the meta-variables and config vars, sorted, a line each |
//! | `/args` | the arguments, a line each |
//! | `/echo` | streams the request's body back |
//! | `/ignore` | answers without reading the request's body |
//! | `/big?BYTES` | streams that many bytes `x` |
//! | `/flood` | writes for ever |
//! | `/status` | answers 404 with a reason phrase |
//! | `/lf` | line ends without carriage returns, and a header of its own |
//! | `/redirect?LOCATION` | a redirect to there |
//! | `/length?N` | announces N bytes and writes 5 |
//! | `/garbage` | writes what is no CGI response |
//! | `/headers?N` | writes N headers, for ever without N |
//! | `/nothing` | exits without a response |
//! | `/exit?CODE`, `/late-exit?CODE` | exits before, or after its response |
//! | `/trap`, `/late-trap` | panics before the response, or in its body |
//! | `/spin`, `/sleep?MS` | loops, waits |
//! | `/stderr` | writes a line to standard error |
//! | `/count` | how often `main` has run in this instance, and what it left in `/tmp` |

use std::{
    env,
    io::{self, Read, Write},
    process::exit,
    time::Duration,
};

fn main() {
    let path = env::var("PATH_INFO").unwrap_or_default();
    let query = env::var("QUERY_STRING").unwrap_or_default();
    let number = || query.parse::<u64>().ok();
    match path.as_str() {
        "/env" => {
            let mut variables: Vec<_> =
                env::vars().map(|(name, value)| format!("{name}={value}")).collect();
            variables.sort();
            text(&variables.join("\n"));
        }
        "/args" => text(&env::args().collect::<Vec<_>>().join("\n")),
        "/echo" => echo(),
        "/ignore" => text("ignored"),
        "/big" => body(number().unwrap_or(1 << 20)),
        "/flood" => body(u64::MAX),
        "/status" => put("Status: 404 Not here\r\nContent-Type: text/plain\r\n\r\nnot here"),
        "/lf" => put("content-type: text/plain\nX-Own: yes\nX-Own: again\n\nlines"),
        "/redirect" => put(&format!("Location: {query}\r\n\r\n")),
        "/length" => {
            put(&format!("Content-Type: text/plain\r\nContent-Length: {query}\r\n\r\nhello"))
        }
        "/garbage" => put("<html>this is no CGI response</html>\n\n"),
        "/headers" => {
            for at in 0..number().unwrap_or(u64::MAX) {
                put(&format!("X-Header-{at}: {}\r\n", "v".repeat(100)));
            }
            text("headers");
        }
        "/nothing" => {}
        "/exit" => exit(number().unwrap_or(1) as i32),
        "/late-exit" => {
            text("half");
            exit(number().unwrap_or(1) as i32);
        }
        "/trap" => panic!("asked for a trap"),
        "/late-trap" => {
            text("half");
            panic!("asked for a late trap");
        }
        "/spin" => loop {
            std::hint::black_box(0);
        },
        "/sleep" => {
            std::thread::sleep(Duration::from_millis(number().unwrap_or(60_000)));
            text("slept");
        }
        "/stderr" => {
            eprintln!("to standard error");
            text("written");
        }
        "/count" => {
            let before = std::fs::read_to_string("/tmp/count").unwrap_or_default();
            let _ = std::fs::write("/tmp/count", format!("{before}x"));
            text(&format!("{before}x"));
        }
        _ => put("Status: 404\r\nContent-Type: text/plain\r\n\r\nno such route"),
    }
}

fn put(text: &str) {
    let mut stdout = io::stdout().lock();
    if stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_err() {
        eprintln!("standard output is closed");
        exit(1);
    }
}

fn text(text: &str) {
    put(&format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{text}"));
}

fn echo() {
    let kind = env::var("CONTENT_TYPE").unwrap_or_else(|_| "application/octet-stream".into());
    put(&format!("Content-Type: {kind}\r\n\r\n"));
    let (mut stdin, mut stdout) = (io::stdin().lock(), io::stdout().lock());
    let mut chunk = vec![0; 16 * 1024];
    loop {
        match stdin.read(&mut chunk) {
            Ok(0) => return,
            Ok(length) => {
                if stdout.write_all(&chunk[..length]).and_then(|()| stdout.flush()).is_err() {
                    return;
                }
            }
            Err(error) => {
                eprintln!("body broken off: {error}");
                exit(1);
            }
        }
    }
}

fn body(mut left: u64) {
    put("Content-Type: application/octet-stream\r\n\r\n");
    let chunk = [b'x'; 4096];
    let mut stdout = io::stdout().lock();
    while left > 0 {
        let size = left.min(chunk.len() as u64);
        if stdout.write_all(&chunk[..size as usize]).and_then(|()| stdout.flush()).is_err() {
            eprintln!("client gone");
            exit(1);
        }
        left -= size;
    }
}
