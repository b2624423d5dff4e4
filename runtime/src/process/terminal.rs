//! The terminal of a one-off dyno. Its client's own terminal is in raw mode and sends each key as it is pressed, so
//! what a kernel's line discipline does is done here: keys are echoed, a line can be corrected until it is ended, ^C ends the
//! process and ^D its input. WASI has nothing by which a guest could ask for its keys raw.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use futures::stream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::OutputStream,
};
use wpaas_slug::Limits;

use crate::stdio::{Source, Writer, pipe};

/// Exit status after ^C: that of SIGINT, as a shell counts.
const INTERRUPTED: i32 = 128 + 2;
/// Exit status when the client is gone: that of SIGHUP.
const HUNG_UP: i32 = 128 + 1;

/// What a terminal rings when it takes no more.
const BELL: u8 = 0x07;

/// Output that the process sees as a terminal.
pub(super) struct Terminal(pub(super) Writer);

impl IsTerminal for Terminal {
    fn is_terminal(&self) -> bool {
        true
    }
}

impl StdoutStream for Terminal {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        self.0.p2_stream()
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        self.0.async_stream()
    }
}

/// What a terminal in raw mode has to be sent for these lines.
pub(super) fn shown(output: &[u8]) -> Bytes {
    let mut shown = Vec::with_capacity(output.len() + 16);
    for &byte in output {
        if byte == b'\n' {
            shown.push(b'\r');
        }
        shown.push(byte);
    }
    shown.into()
}

/// Standard input made of the keys that come from `keys`, which are echoed to `echo`, and what has to run meanwhile: it
/// ends with the exit status that the process then has.
pub(super) fn typing(
    mut keys: Box<dyn AsyncRead + Send + Unpin>,
    mut echo: Writer,
    limits: &Arc<Limits>,
) -> (impl Future<Output = i32> + use<>, Source) {
    let (input, lines) = pipe(Limits::size(limits.guest_pipe_bytes));
    let mut line = Line::new(Limits::size(limits.terminal_line_bytes));
    let typing = async move {
        // Without it the input has ended; the keys are still attended to.
        let mut input = Some(input);
        let mut buffer = [0; 1024];
        loop {
            let read = match keys.read(&mut buffer).await {
                Ok(0) | Err(_) => return HUNG_UP,
                Ok(read) => read,
            };
            for &key in buffer.get(..read).unwrap_or_default() {
                let mut shown = Vec::new();
                let pressed = line.press(key, &mut shown);
                let taken = match &pressed {
                    Pressed::Line(bytes) => input.as_mut().is_none_or(|input| put(input, bytes)),
                    _ => true,
                };
                if !taken {
                    shown = vec![BELL];
                }
                // Who does not read what is shown must still be able to press ^C.
                put(&mut echo, &shown);
                match pressed {
                    Pressed::End => input = None,
                    Pressed::Interrupt => return INTERRUPTED,
                    Pressed::Line(_) | Pressed::Nothing => {}
                }
            }
        }
    };
    let source = stream::unfold(lines, |mut lines| async move {
        lines.next().await.map(|bytes| (Ok(bytes), lines))
    });
    (typing, Box::pin(source))
}

/// Writes all of it, or nothing when there is no room.
fn put(pipe: &mut Writer, bytes: &[u8]) -> bool {
    let room = pipe.check_write().unwrap_or_default();
    bytes.len() <= room && pipe.write(Bytes::copy_from_slice(bytes)).is_ok()
}

/// What a key does.
#[derive(Debug, PartialEq, Eq)]
enum Pressed {
    Nothing,
    /// The process gets this.
    Line(Vec<u8>),
    /// The input ends.
    End,
    /// The process ends.
    Interrupt,
}

/// The line that is being typed.
struct Line {
    typed: Vec<u8>,
    longest: usize,
    escape: Escape,
}

/// How far a sequence of a key that is no character (an arrow) is. They do nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Begun,
    /// After `ESC [` or `ESC O`.
    Sequence,
}

impl Line {
    fn new(longest: usize) -> Self {
        Self { typed: Vec::new(), longest, escape: Escape::None }
    }

    /// Takes a key, and adds what is to be shown of it.
    fn press(&mut self, key: u8, shown: &mut Vec<u8>) -> Pressed {
        match self.escape {
            Escape::Begun => {
                let sequence = matches!(key, b'[' | b'O');
                self.escape = if sequence { Escape::Sequence } else { Escape::None };
                return Pressed::Nothing;
            }
            Escape::Sequence => {
                if (0x40..=0x7e).contains(&key) {
                    self.escape = Escape::None;
                }
                return Pressed::Nothing;
            }
            Escape::None => {}
        }
        match key {
            b'\r' | b'\n' => {
                shown.push(b'\n');
                self.typed.push(b'\n');
                return Pressed::Line(std::mem::take(&mut self.typed));
            }
            // ^D: what was typed is given without a line end, nothing is the end.
            0x04 if self.typed.is_empty() => return Pressed::End,
            0x04 => return Pressed::Line(std::mem::take(&mut self.typed)),
            // ^C and ^\
            0x03 | 0x1c => {
                shown.extend([b'^', key + b'@', b'\n']);
                return Pressed::Interrupt;
            }
            0x1b => self.escape = Escape::Begun,
            // Backspace
            0x7f | 0x08 => self.erase(shown),
            // ^U
            0x15 => {
                while !self.typed.is_empty() {
                    self.erase(shown);
                }
            }
            // ^W
            0x17 => {
                while self.typed.last() == Some(&b' ') {
                    self.erase(shown);
                }
                while self.typed.last().is_some_and(|last| *last != b' ') {
                    self.erase(shown);
                }
            }
            b'\t' | 0x20.. if self.typed.len() < self.longest => {
                self.typed.push(key);
                shown.push(key);
            }
            b'\t' | 0x20.. => shown.push(BELL),
            // Keys that a shell's own line editing would understand.
            _ => {}
        }
        Pressed::Nothing
    }

    /// Takes back the last character.
    fn erase(&mut self, shown: &mut Vec<u8>) {
        while let Some(byte) = self.typed.pop() {
            // The bytes that continue a character of UTF-8.
            if byte & 0xC0 != 0x80 {
                shown.extend(b"\x08 \x08");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use wasmtime_wasi::p2::Pollable;

    use super::*;
    use crate::stdio::Input;

    fn press(line: &mut Line, keys: &[u8]) -> (Vec<Pressed>, String) {
        let mut shown = Vec::new();
        let pressed = keys.iter().map(|key| line.press(*key, &mut shown));
        let pressed = pressed.filter(|pressed| *pressed != Pressed::Nothing).collect();
        (pressed, String::from_utf8(shown).unwrap())
    }

    fn typed(text: &str) -> Pressed {
        Pressed::Line(text.into())
    }

    #[test]
    fn lines_are_given_when_they_are_ended() {
        for (keys, given, shown) in [
            ("print(1)\r", vec![typed("print(1)\n")], "print(1)\n"),
            ("ab\x7fc\r", vec![typed("ac\n")], "ab\x08 \x08c\n"),
            ("ä\x7f\x7f\x7fx\r", vec![typed("x\n")], "ä\x08 \x08x\n"),
            (
                "one two \x17x\r",
                vec![typed("one x\n")],
                "one two \x08 \x08\x08 \x08\x08 \x08\x08 \x08x\n",
            ),
            ("ab\x15c\r", vec![typed("c\n")], "ab\x08 \x08\x08 \x08c\n"),
            ("a\x1b[A\x1b[1;5Cb\x1bOP\r", vec![typed("ab\n")], "ab\n"),
            ("a\x04\x04", vec![typed("a"), Pressed::End], "a"),
            ("a\x03", vec![Pressed::Interrupt], "a^C\n"),
            ("\x01\x1ab\tc\n", vec![typed("b\tc\n")], "b\tc\n"),
        ] {
            let found = press(&mut Line::new(100), keys.as_bytes());
            assert_eq!(found, (given, shown.to_owned()), "{keys:?}");
        }
        let (given, shown) = press(&mut Line::new(3), b"12345\r");
        assert_eq!((given, shown), (vec![typed("123\n")], "123\x07\x07\n".into()));
    }

    #[test]
    fn a_raw_terminal_needs_both_characters_of_a_line_end() {
        assert_eq!(shown(b"a\nb\r\n"), "a\r\nb\r\r\n");
    }

    #[tokio::test]
    async fn a_process_that_reads_nothing_can_be_interrupted() {
        let limits = Limits { guest_pipe_bytes: 16, ..Limits::default() };
        let (mut client, keys) = tokio::io::duplex(64);
        let (echo, mut screen) = pipe(64);
        let (typing, _input) = typing(Box::new(keys), echo, &Arc::new(limits));
        let typing = tokio::spawn(typing);
        client.write_all(b"0123456789\r0123456789\r").await.unwrap();
        client.write_all(b"\x03").await.unwrap();
        assert_eq!(typing.await.unwrap(), INTERRUPTED);
        let mut seen = Vec::new();
        while let Some(bytes) = screen.next().await {
            seen.extend_from_slice(&bytes);
        }
        let seen = String::from_utf8(seen).unwrap();
        assert_eq!(seen, "0123456789\n0123456789\x07^C\n");
    }

    #[tokio::test]
    async fn input_ends_with_its_client() {
        let (mut client, keys) = tokio::io::duplex(64);
        let (echo, _screen) = pipe(64);
        let (typing, source) = typing(Box::new(keys), echo, &Arc::new(Limits::default()));
        let mut input = Input::new(source);
        client.write_all(b"x\r").await.unwrap();
        drop(client);
        assert_eq!(typing.await, HUNG_UP);
        input.ready().await;
        assert_eq!(wasmtime_wasi::p2::InputStream::read(&mut input, 10).unwrap(), "x\n");
    }
}
