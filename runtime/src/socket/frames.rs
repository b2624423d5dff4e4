//! Where the frames of a WebSocket begin and end (RFC 6455, 5.2). Nothing else of them is understood: this is for
//! saying goodbye between two of them.

/// Follows the bytes of one direction.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// What is here of the next frame's header.
    header: [u8; HEADER_BYTES],
    have: usize,
    /// Bytes of the payload that are to come.
    left: u64,
    /// A close frame has begun, after which nothing may follow.
    closed: bool,
}

/// Two bytes, eight of length, four of mask.
const HEADER_BYTES: usize = 14;
const CLOSE: u8 = 0x8;
const MASKED: u8 = 0x80;

impl Frames {
    /// Follows `bytes`, which come next.
    pub(crate) fn follow(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let payload = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left = self.left.saturating_sub(payload as u64);
                bytes = bytes.get(payload..).unwrap_or_default();
                continue;
            }
            if let Some(place) = self.header.get_mut(self.have) {
                *place = *first;
            }
            self.have = self.have.saturating_add(1);
            bytes = rest;
            self.end_header();
        }
    }

    /// Begins the payload when the header is complete.
    fn end_header(&mut self) {
        let [kind, second, length @ ..] = &self.header;
        let mask = if second & MASKED == 0 { 0 } else { 4 };
        let short = second & !MASKED;
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if self.have < 2 || self.have < 2 + extended + mask {
            return;
        }
        self.closed |= kind & 0xf == CLOSE;
        let bytes = length.iter().take(extended);
        let long = bytes.fold(0_u64, |length, byte| (length << 8) | u64::from(*byte));
        self.left = if extended == 0 { u64::from(short) } else { long };
        self.have = 0;
    }

    /// Whether a frame of our own can follow.
    pub(crate) fn is_between(&self) -> bool {
        self.have == 0 && self.left == 0 && !self.closed
    }
}

/// A close frame with code 1001, "going away": a server's.
pub(super) const GOING_AWAY: &[u8] = &[0x88, 2, 0x03, 0xe9];
/// The same as from a client, which has to mask it; with zeroes, for there is nobody to deceive.
pub(super) const GOING_AWAY_MASKED: &[u8] = &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9];

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of `length` bytes.
    fn frame(kind: u8, length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { MASKED } else { 0 };
        let mut frame = vec![kind];
        match length {
            0..=125 => frame.push(mask | length as u8),
            126..=0xffff => {
                frame.push(mask | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        if masked {
            frame.extend([1, 2, 3, 4]);
        }
        frame.extend(vec![0xff; length]);
        frame
    }

    #[test]
    fn between_is_where_one_frame_has_ended_and_none_has_begun() {
        for masked in [false, true] {
            for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
                let bytes = frame(0x82, length, masked);
                for step in [1, 7, bytes.len()] {
                    let mut frames = Frames::default();
                    let mut seen = 0;
                    for piece in bytes.chunks(step) {
                        frames.follow(piece);
                        seen += piece.len();
                        assert_eq!(frames.is_between(), seen == bytes.len(), "{length} at {seen}");
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_follows_a_close_frame() {
        let mut frames = Frames::default();
        frames.follow(&frame(0x88, 2, false));
        assert!(!frames.is_between());
        for ours in [GOING_AWAY, GOING_AWAY_MASKED] {
            let mut frames = Frames::default();
            frames.follow(ours);
            assert_eq!((frames.left, frames.closed), (0, true));
        }
    }

    #[test]
    fn no_length_makes_it_lose_its_way() {
        let mut frames = Frames::default();
        frames.follow(&[0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        frames.follow(&[0; 1000]);
        assert_eq!(frames.left, u64::MAX - 1000);
    }
}
