//! Log sessions: short-lived, unguessable URLs at which a log can be read without a token, because the CLI's
//! event source sends none. Kept in memory: after a restart the client asks for a new one.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use uuid::Uuid;
use wpaas_slug::Limits;

use crate::{Error, auth, logplex::Filter};

/// What a session shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) app: Uuid,
    pub(crate) filter: Filter,
    /// Lines of history.
    pub(crate) lines: usize,
    /// Whether to go on with what comes.
    pub(crate) tail: bool,
}

/// The sessions that can be opened.
pub(crate) struct Sessions {
    open: Mutex<HashMap<String, (Session, Instant)>>,
    lifetime: Duration,
    most: usize,
}

impl Sessions {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            open: Mutex::default(),
            lifetime: Duration::from_millis(limits.log_session_ttl_ms),
            most: usize::try_from(limits.log_sessions).unwrap_or(usize::MAX),
        }
    }

    /// Makes a session and returns the token of its URL.
    pub(crate) fn create(&self, session: Session, now: Instant) -> Result<String, Error> {
        let token = auth::secret()?;
        let mut open = self.open.lock();
        if open.len() >= self.most {
            open.retain(|_, (_, until)| *until > now);
        }
        if open.len() >= self.most {
            return Err(Error::Busy(
                "Too many log sessions are open; try again in a minute.".into(),
            ));
        }
        open.insert(auth::digest(&token), (session, now + self.lifetime));
        Ok(token)
    }

    /// The session with this token.
    pub(crate) fn get(&self, token: &str, now: Instant) -> Result<Session, Error> {
        let mut open = self.open.lock();
        let digest = auth::digest(token);
        match open.get(&digest) {
            Some((session, until)) if *until > now => Ok(session.clone()),
            _ => {
                open.remove(&digest);
                Err(Error::NotFound("log session"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_expire_and_are_bounded() {
        let limits = Limits { log_sessions: 1, log_session_ttl_ms: 1_000, ..Limits::default() };
        let sessions = Sessions::new(&limits);
        let session =
            Session { app: Uuid::nil(), filter: Filter::default(), lines: 10, tail: false };
        let now = Instant::now();
        let token = sessions.create(session.clone(), now).unwrap();
        assert_eq!(sessions.get(&token, now).unwrap(), session);
        assert!(matches!(sessions.get("other", now), Err(Error::NotFound(_))));
        assert!(matches!(sessions.create(session.clone(), now), Err(Error::Busy(_))));
        let later = now + Duration::from_millis(1_001);
        assert!(matches!(sessions.get(&token, later), Err(Error::NotFound(_))));
        assert!(sessions.create(session, later).is_ok());
    }
}
