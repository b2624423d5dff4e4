//! What was sent of a request's body on a kept connection. A dyno may close such a connection at the moment at which the
//! router uses it. When it has read nothing of the request, the request can be sent again, whatever it is.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{body::RequestBody, net::GuestHolds};

/// Shared by the body that is sent and by whoever would send it again.
#[derive(Clone)]
pub(super) struct Replay(Arc<Mutex<Record>>);

struct Record {
    /// What was sent; `None` when that is not known any more.
    sent: Option<VecDeque<Bytes>>,
    /// How much more is remembered, in bytes.
    room: usize,
    /// What was not sent, when its sending was given up.
    rest: Option<RequestBody>,
    guest: GuestHolds,
    /// What the guest had read of the connection before.
    before: u64,
}

impl Replay {
    /// For a request that begins now, of which at most `most` bytes are remembered.
    pub(super) fn new(guest: GuestHolds, most: usize) -> Self {
        let before = guest.taken();
        let sent = Some(VecDeque::new());
        Self(Arc::new(Mutex::new(Record { sent, room: most, rest: None, guest, before })))
    }

    /// More of it is sent.
    pub(super) fn sends(&self, bytes: &Bytes) {
        let mut record = self.0.lock();
        match record.room.checked_sub(bytes.len()) {
            // Once the guest has read of it, it is not sent again.
            Some(room) if record.guest.taken() == record.before => {
                record.room = room;
                if let Some(sent) = &mut record.sent {
                    sent.push_back(bytes.clone());
                }
            }
            _ => record.sent = None,
        }
    }

    /// What is sent cannot be sent again.
    pub(super) fn forget(&self) {
        self.0.lock().sent = None;
    }

    /// Sending ends with this not sent.
    pub(super) fn gives_up(&self, rest: RequestBody) {
        self.0.lock().rest = Some(rest);
    }

    /// What was sent and the rest, if the guest has read nothing. The connection must have ended.
    pub(super) fn take(&self) -> Option<(VecDeque<Bytes>, RequestBody)> {
        let mut record = self.0.lock();
        if record.guest.taken() != record.before {
            return None;
        }
        Some((record.sent.take()?, record.rest.take()?))
    }
}

#[cfg(test)]
mod tests {
    use wpaas_slug::Limits;

    use super::*;
    use crate::exchange::Exchange;

    fn sent(pieces: &[&'static str]) -> Option<Vec<Bytes>> {
        let replay = Replay::new(GuestHolds::idle(), 10);
        pieces.iter().for_each(|piece| replay.sends(&Bytes::from_static(piece.as_bytes())));
        replay.gives_up(RequestBody::none(&Arc::new(Exchange::new(&Limits::default()))));
        replay.take().map(|(first, _)| first.into())
    }

    #[test]
    fn what_was_sent_comes_back_whole_or_not_at_all() {
        assert_eq!(sent(&[]).unwrap(), Vec::<Bytes>::new());
        assert_eq!(sent(&["hello", "world"]).unwrap(), ["hello", "world"]);
        assert!(sent(&["hello", "worlds"]).is_none(), "more than is remembered");
        assert!(sent(&["hello", "worlds", "x"]).is_none(), "and what comes later is not enough");
    }

    #[test]
    fn before_its_sending_ends_there_is_nothing_to_send_again() {
        let replay = Replay::new(GuestHolds::idle(), 10);
        assert!(replay.take().is_none());
        replay.forget();
        replay.gives_up(RequestBody::none(&Arc::new(Exchange::new(&Limits::default()))));
        assert!(replay.take().is_none());
    }
}
