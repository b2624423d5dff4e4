//! Routes that take more than their share.

use std::cell::RefCell;
use std::hint::black_box;
use std::io::Write;

use wasip2::clocks::monotonic_clock;
use wasip2::io::poll::Pollable;

use crate::http::Request;

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static HANDLES: RefCell<Vec<Pollable>> = const { RefCell::new(Vec::new()) };
}

pub fn spin() -> ! {
    let mut number = 0_u64;
    loop {
        number = black_box(number.wrapping_add(1));
    }
}

/// Uses the stack until there is none.
#[expect(unconditional_recursion, reason = "that is the attack")]
pub fn recurse(depth: u64) -> u64 {
    black_box(recurse(black_box(depth + 1))) + black_box(1)
}

/// Keeps `bytes` more bytes, each page written to; without a number never ends by itself.
pub fn allocate(bytes: Option<u64>) -> String {
    const STEP: usize = 1 << 20;
    let mut left = bytes.unwrap_or(u64::MAX);
    KEPT.with_borrow_mut(|kept| {
        while left > 0 {
            let size = left.min(STEP as u64) as usize;
            let mut block = Vec::new();
            if block.try_reserve_exact(size).is_err() {
                let total = kept.iter().map(Vec::len).sum::<usize>();
                if bytes.is_some() {
                    return format!("refused: memory, with {total} bytes kept");
                }
                eprintln!("out of memory with {total} bytes kept");
                std::process::abort();
            }
            block.resize(size, 1);
            kept.push(black_box(block));
            left -= size as u64;
        }
        format!("{} bytes kept", kept.iter().map(Vec::len).sum::<usize>())
    })
}

/// Keeps `n` more pollables; the host traps when there are too many.
pub fn handles(n: Option<u64>) -> String {
    HANDLES.with_borrow_mut(|handles| {
        for _ in 0..n.unwrap_or(u64::MAX) {
            handles.push(monotonic_clock::subscribe_duration(u64::MAX));
        }
        format!("{} handles kept", handles.len())
    })
}

pub fn log(request: &Request) {
    let bytes = request.number("bytes").unwrap_or(20) as usize;
    let to_stderr = request.text("to") == "stderr";
    for number in 0..request.number("lines").unwrap_or(1) {
        let mut line = format!("line {number} ").into_bytes();
        line.resize(bytes.max(line.len()), b'.');
        line.push(b'\n');
        let written = if to_stderr {
            std::io::stderr().write_all(&line)
        } else {
            std::io::stdout().write_all(&line)
        };
        if written.is_err() {
            return;
        }
    }
}
