//! Heroku's rules for names: apps, config vars, domains.

use rand::seq::IndexedRandom;

use crate::Error;

const APP_RULE: &str = "Name must start with a letter, end with a letter or digit and can only contain \
                        lowercase letters, digits, and dashes.";

/// Accepts `^[a-z][a-z0-9-]{1,28}[a-z0-9]$`.
pub(crate) fn check_app(name: &str) -> Result<(), Error> {
    let invalid = |text: &str| Err(Error::Invalid(text.to_owned()));
    if name.len() < 3 {
        return invalid("Name is too short (minimum is 3 characters).");
    }
    if name.len() > 30 {
        return invalid("Name is too long (maximum is 30 characters).");
    }
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !starts || name.ends_with('-') || !name.bytes().all(word) {
        return invalid(APP_RULE);
    }
    Ok(())
}

/// A name for an app whose owner has none in mind: `quiet-meadow-48213`.
pub(crate) fn random_app() -> String {
    const FIRST: &[&str] = &[
        "amber", "bright", "calm", "clear", "deep", "early", "gentle", "golden", "green", "hidden",
        "late", "lively", "misty", "mild", "pale", "proud", "quiet", "rapid", "silent", "still",
        "tall", "warm", "wild", "young",
    ];
    const SECOND: &[&str] = &[
        "beach", "brook", "cliff", "coast", "dune", "field", "forest", "garden", "harbor", "hill",
        "island", "lake", "meadow", "moon", "mountain", "ocean", "pine", "reef", "ridge", "river",
        "shore", "sky", "spring", "valley",
    ];
    let mut rng = rand::rng();
    let first = FIRST.choose(&mut rng).unwrap_or(&"wpaas");
    let second = SECOND.choose(&mut rng).unwrap_or(&"app");
    format!("{first}-{second}-{:05}", rand::random_range(0..100_000))
}

/// Accepts a config var's name: letters, digits and `_`, not starting with a digit, `__` or `HEROKU_`.
pub(crate) fn check_config_var(name: &str) -> Result<(), Error> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let shown: String = name.chars().take(80).collect();
    if name.is_empty() || name.len() > 256 || !name.bytes().all(word) {
        return Err(Error::Invalid(format!(
            "Config var name {shown:?} must be 1 to 256 letters, digits and underscores."
        )));
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) || name.starts_with("__") {
        return Err(Error::Invalid(format!(
            "Config var name {shown:?} must not start with a digit or two underscores."
        )));
    }
    if name.starts_with("HEROKU_") {
        return Err(Error::Invalid(format!(
            "Config var name {shown:?} is reserved: names starting with HEROKU_ are the platform's."
        )));
    }
    Ok(())
}

/// Accepts a custom domain and returns it in lower case. `apps_domain` is the one that apps have by default.
pub(crate) fn check_hostname(hostname: &str, apps_domain: &str) -> Result<String, Error> {
    let name = hostname.trim_end_matches('.').to_ascii_lowercase();
    let shown: String = name.chars().take(80).collect();
    let invalid = |why: &str| Err(Error::Invalid(format!("Hostname {shown:?} {why}")));
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let label = |part: &str| {
        (1..=63).contains(&part.len())
            && part.bytes().all(word)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    if name.len() > 253 || !name.contains('.') || !name.split('.').all(label) {
        return invalid("is not a domain name; expected one like www.example.com.");
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) {
        return invalid("is an IP address; expected a domain name like www.example.com.");
    }
    if name.strip_suffix(apps_domain).is_some_and(|rest| rest.ends_with('.')) {
        return invalid(&format!("belongs to the platform: NAME.{apps_domain} is the app NAME."));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_names_follow_herokus_rule() {
        for good in ["abc", "a-1", "a1b2-c3", &"a".repeat(30)] {
            assert!(check_app(good).is_ok(), "{good}");
        }
        for bad in ["", "ab", "Abc", "1ab", "-ab", "ab-", "a_b", "a.b", "äbc", &"a".repeat(31)] {
            assert!(check_app(bad).is_err(), "{bad}");
        }
        for _ in 0..100 {
            check_app(&random_app()).unwrap();
        }
    }

    #[test]
    fn config_var_names() {
        for good in ["A", "a_b", "_X", "DATABASE_URL", "X1"] {
            assert!(check_config_var(good).is_ok(), "{good}");
        }
        for bad in ["", "1A", "__A", "A-B", "A B", "A=", "Ä", "HEROKU_X", &"A".repeat(257)] {
            assert!(check_config_var(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hostnames_are_checked_and_lowered() {
        assert_eq!(check_hostname("WWW.Example.com.", "localhost").unwrap(), "www.example.com");
        for bad in [
            "",
            "localhost",
            "a..b",
            "-a.com",
            "a b.com",
            "1.2.3.4",
            "x.localhost",
            "*.a.com",
            "ü.de",
            &format!("{}.com", "a".repeat(64)),
        ] {
            assert!(check_hostname(bad, "localhost").is_err(), "{bad}");
        }
    }
}
