//! A command for worker and one-off dynos. Its first argument says what it does:
//!
//! | argument | does |
//! |---|---|
//! | `args`, `env` | prints its arguments or variables, a line each |
//! | `cat` | copies standard input to standard output, then exits |
//! | `serve` | prints `ready`, waits for the end of standard input, prints `bye` and exits |
//! | `deaf` | prints `ready` and sleeps for ever, whatever standard input says |
//! | `tty` | says which of its streams are a terminal, then repeats lines until standard input ends |
//! | `exit CODE` | prints to both outputs and exits |
//! | `trap`, `spin`, `flood` | panics, loops, prints for ever |
//! | `alloc` | takes memory until there is none |

use std::{
    env,
    io::{self, IsTerminal, Read, Write},
    process::exit,
    thread::sleep,
    time::Duration,
};

fn main() {
    // The program's own name may come first.
    let args: Vec<String> = env::args().filter(|arg| !arg.ends_with(".wasm")).collect();
    match args.first().map(String::as_str) {
        Some("args") => println!("{}", args.join("\n")),
        Some("env") => {
            let mut variables: Vec<_> = env::vars().collect();
            variables.sort();
            for (name, value) in variables {
                println!("{name}={value}");
            }
        }
        Some("cat") => drop(io::copy(&mut io::stdin(), &mut io::stdout())),
        Some("serve") => {
            println!("ready");
            let end = io::stdin().read_to_end(&mut Vec::new());
            println!("bye: {end:?}");
        }
        Some("deaf") => {
            println!("ready");
            loop {
                sleep(Duration::from_secs(3600));
            }
        }
        Some("tty") => {
            let (stdin, stdout) = (io::stdin(), io::stdout());
            println!("{} {}", stdin.is_terminal(), stdout.is_terminal());
            for line in stdin.lines() {
                println!("got {:?}", line.unwrap());
            }
            println!("end");
        }
        Some("exit") => {
            println!("out");
            eprintln!("err");
            exit(args.get(1).and_then(|code| code.parse().ok()).unwrap_or(1));
        }
        Some("trap") => panic!("asked for a trap"),
        Some("spin") => {
            println!("ready");
            loop {
                std::hint::black_box(0);
            }
        }
        Some("flood") => {
            let mut stdout = io::stdout().lock();
            while stdout.write_all(&[b'x'; 4096]).is_ok() {}
        }
        Some("alloc") => {
            let mut kept = Vec::new();
            loop {
                kept.push(std::hint::black_box(vec![1_u8; 1 << 20]));
            }
        }
        other => {
            eprintln!("worker: no such thing to do: {other:?}");
            exit(2);
        }
    }
}
