//! Passwords of accounts: kept as Argon2id hashes (OWASP's parameters, the library's defaults: 19 MiB, two
//! passes), compared in constant time, and slow to guess.
//!
//! A guess for an account that does not exist costs the same time as one for an account that does, and after
//! some wrong ones each account has to wait, so that neither tells who has an account and a dictionary takes
//! years. Tokens go on working meanwhile: nobody can lock an owner out of what runs.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use argon2::{
    Argon2,
    password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString},
};
use parking_lot::Mutex;
use rand::TryRngCore as _;
use tokio::sync::Semaphore;
use wpaas_slug::Limits;

use crate::{
    Error, Inner,
    auth::{self, User},
    error,
};

/// Shorter ones are refused (Heroku: 8).
const MIN_CHARACTERS: usize = 8;
/// Longer ones would only cost time.
const MAX_BYTES: usize = 1024;
/// A hash of nothing that anybody knows, for accounts that do not exist.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGlzIGhlcmU$2nXDIj7ZzyIqSuFUeqtJ0fKLQkPzn9hQ6xhPQmY0XG4";

/// Who guessed wrong lately, and how many hashes are computed at once.
pub(crate) struct Guard {
    free: u64,
    longest: Duration,
    watched: usize,
    hashing: Semaphore,
    accounts: Mutex<HashMap<String, Wrong>>,
}

#[derive(Clone, Copy)]
struct Wrong {
    guesses: u64,
    last: Instant,
}

impl Guard {
    pub(crate) fn new(limits: &Limits) -> Self {
        let size = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX).max(1);
        Self {
            free: limits.login_free_guesses,
            longest: Limits::ms(limits.login_delay_ms),
            watched: size(limits.login_accounts_watched),
            hashing: Semaphore::new(size(limits.concurrent_logins).min(Semaphore::MAX_PERMITS)),
            accounts: Mutex::default(),
        }
    }

    /// How long this account has to wait: a second after the guesses that are free, twice as long after each
    /// further one.
    fn wait(&self, wrong: Wrong, now: Instant) -> Duration {
        let Some(beyond) = wrong.guesses.checked_sub(self.free) else { return Duration::ZERO };
        let seconds = 1_u64.checked_shl(u32::try_from(beyond).unwrap_or(u32::MAX));
        let delay = seconds.map_or(self.longest, Duration::from_secs).min(self.longest);
        (wrong.last + delay).saturating_duration_since(now)
    }

    /// Takes a guess for the account, which counts as wrong until [`Guard::right`] says otherwise: guesses
    /// made at the same time count each.
    fn take(&self, email: &str, now: Instant) -> Result<(), Error> {
        let mut accounts = self.accounts.lock();
        if let Some(wrong) = accounts.get_mut(email) {
            let wait = self.wait(*wrong, now);
            if !wait.is_zero() {
                let seconds = wait.as_secs() + 1;
                return Err(Error::Busy(format!(
                    "Too many wrong passwords for this account. Try again in {seconds} s, or use a token."
                )));
            }
            *wrong = Wrong { guesses: wrong.guesses.saturating_add(1), last: now };
            return Ok(());
        }
        if accounts.len() >= self.watched {
            // Whoever guessed longest ago is forgotten first.
            let oldest = accounts.iter().min_by_key(|(_, wrong)| wrong.last);
            if let Some(email) = oldest.map(|(email, _)| email.clone()) {
                accounts.remove(&email);
            }
        }
        accounts.insert(email.to_owned(), Wrong { guesses: 1, last: now });
        Ok(())
    }

    fn right(&self, email: &str) {
        self.accounts.lock().remove(email);
    }
}

/// An e-mail address as accounts are found by it.
fn key(email: &str) -> String {
    email.trim().chars().take(254).collect::<String>().to_lowercase()
}

impl Inner {
    /// The account with this e-mail address and password.
    pub(crate) async fn log_in(&self, email: &str, password: &str) -> Result<User, Error> {
        let email = key(email);
        if password.len() > MAX_BYTES {
            return Err(Error::WrongPassword);
        }
        self.passwords.take(&email, Instant::now())?;
        let found = auth::by_email(&mut *self.db.read().await?, &email).await?;
        let (user, known) = found.unzip();
        let known = known.flatten();
        let right = self.matches(password, known.as_deref().unwrap_or(NOBODY)).await?;
        match user {
            Some(user) if right && known.is_some() => {
                self.passwords.right(&email);
                Ok(user)
            }
            _ => Err(Error::WrongPassword),
        }
    }

    /// Gives an account another password; `current` is what it has now, if it has one. Its tokens stay.
    pub(crate) async fn change_password(
        &self,
        user: &User,
        current: Option<&str>,
        new: &str,
    ) -> Result<(), Error> {
        if new.chars().count() < MIN_CHARACTERS || new.len() > MAX_BYTES {
            return Err(Error::Invalid(format!(
                "A password has at least {MIN_CHARACTERS} characters and at most {MAX_BYTES} bytes."
            )));
        }
        let found = auth::by_email(&mut *self.db.read().await?, &user.email).await?;
        if let Some(known) = &found.and_then(|(_, known)| known) {
            self.passwords.take(&user.email, Instant::now())?;
            if !self.matches(current.unwrap_or_default(), known).await? {
                return Err(Error::Invalid("The current password is another one.".into()));
            }
            self.passwords.right(&user.email);
        }
        let hash = self.hash(new.to_owned()).await?;
        let mut write = self.db.write().await?;
        sqlx::query("UPDATE users SET password = $1, updated_at = $2 WHERE id = $3")
            .bind(hash)
            .bind(crate::db::now())
            .bind(user.id.to_string())
            .execute(&mut *write)
            .await?;
        write.commit().await
    }

    async fn matches(&self, password: &str, hash: &str) -> Result<bool, Error> {
        let (password, hash) = (password.to_owned(), hash.to_owned());
        self.computed(move || {
            let hash = PasswordHash::new(&hash)
                .map_err(|error| Error::Corrupt(format!("hash of a password: {error}")))?;
            Ok(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        })
        .await
    }

    async fn hash(&self, password: String) -> Result<String, Error> {
        let mut salt = [0; 16];
        let failed = |error: String| error::io("hash of a password")(std::io::Error::other(error));
        rand::rngs::OsRng.try_fill_bytes(&mut salt).map_err(|error| failed(error.to_string()))?;
        self.computed(move || {
            let salt = SaltString::encode_b64(&salt).map_err(|error| failed(error.to_string()))?;
            let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
            Ok(hash.map_err(|error| failed(error.to_string()))?.to_string())
        })
        .await
    }

    /// Computes a hash beside the requests, few at a time: each takes 19 MiB and some 20 ms.
    async fn computed<T: Send + 'static>(
        &self,
        compute: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        // Never closed.
        let _permit = self.passwords.hashing.acquire().await.map_err(|_| Error::Stopping)?;
        let computed = tokio::task::spawn_blocking(compute).await;
        computed.map_err(|error| error::io("hash of a password")(std::io::Error::other(error)))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(watched: u64) -> Guard {
        Guard::new(&Limits {
            login_free_guesses: 3,
            login_delay_ms: 60_000,
            login_accounts_watched: watched,
            ..Limits::default()
        })
    }

    #[test]
    fn each_wrong_guess_beyond_the_free_ones_doubles_the_wait() {
        let (guard, start) = (guard(10), Instant::now());
        for _ in 0..3 {
            guard.take("a", start).unwrap();
        }
        let mut now = start;
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let early = now + Duration::from_secs(seconds) - Duration::from_millis(1);
            let error = guard.take("a", early).unwrap_err();
            assert!(matches!(error, Error::Busy(_)), "{error}");
            now += Duration::from_secs(seconds);
            guard.take("a", now).unwrap();
        }
        guard.take("b", now).unwrap();
        guard.right("a");
        guard.take("a", now).unwrap();
    }

    #[test]
    fn a_crowd_of_accounts_takes_no_memory() {
        let (guard, start) = (guard(4), Instant::now());
        for number in 0..1000 {
            guard.take(&number.to_string(), start + Duration::from_millis(number)).unwrap();
        }
        assert_eq!(guard.accounts.lock().len(), 4);
    }

    #[test]
    fn nobodys_hash_costs_what_a_real_one_does() {
        let nobody = PasswordHash::new(NOBODY).unwrap();
        let salt = SaltString::encode_b64(b"0123456789abcdef").unwrap();
        let real = Argon2::default().hash_password(b"x", &salt).unwrap();
        assert_eq!((nobody.algorithm, nobody.params), (real.algorithm, real.params));
    }
}
