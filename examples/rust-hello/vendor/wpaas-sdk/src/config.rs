//! Config vars as values of a type.

use std::env::VarError;
use std::fmt::Display;
use std::str::FromStr;

/// The app's config vars, which a dyno sees as its environment.
///
/// A value is read when it is asked for. A changed config var makes a new release, and its dynos start
/// anew, so a value never changes under a running app.
///
/// ```
/// use std::net::IpAddr;
/// use wpaas_sdk::{Config, ConfigError};
///
/// # fn main() -> Result<(), ConfigError> {
/// let workers = Config::get_or("WORKERS", 4_usize)?;
/// let proxy = Config::find::<IpAddr>("PROXY_ADDRESS")?;
/// assert_eq!((workers, proxy), (4, None));
///
/// let error = Config::get::<u16>("METRICS_PORT").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "config var METRICS_PORT (u16) is not set; set it with `wpaas config:set METRICS_PORT=…`"
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Config(());

impl Config {
    /// The value of a config var that must be set.
    ///
    /// # Errors
    /// [`ConfigError::Missing`] when it is not set, else as [`Config::find`].
    pub fn get<T>(name: &str) -> Result<T, ConfigError>
    where
        T: FromStr,
        T::Err: Display,
    {
        require(name, Self::find(name)?)
    }

    /// The value of a config var, or `default` when it is not set. A value that is set and wrong is an error
    /// all the same: a typing error must not silently mean the default.
    ///
    /// # Errors
    /// As [`Config::find`].
    pub fn get_or<T>(name: &str, default: T) -> Result<T, ConfigError>
    where
        T: FromStr,
        T::Err: Display,
    {
        Ok(Self::find(name)?.unwrap_or(default))
    }

    /// The value of a config var, or `None` when it is not set.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] when the value is no `T`, [`ConfigError::NotUnicode`] when it is no text.
    pub fn find<T>(name: &str) -> Result<Option<T>, ConfigError>
    where
        T: FromStr,
        T::Err: Display,
    {
        parse(name, std::env::var(name))
    }
}

/// Why a config var gives no value. The message names the variable and the type, and leaves the value out:
/// errors end up in logs, and config vars hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It is not set.
    #[error("config var {name} ({expected}) is not set; set it with `wpaas config:set {name}=…`")]
    Missing {
        /// The config var.
        name: String,
        /// The type that was asked for.
        expected: &'static str,
    },
    /// The value is set but is no value of the type.
    #[error("config var {name} is no {expected}: {reason}")]
    Invalid {
        /// The config var.
        name: String,
        /// The type that was asked for.
        expected: &'static str,
        /// What the type's parser says.
        reason: String,
    },
    /// The value is not UTF-8.
    #[error("config var {name} is not UTF-8 text")]
    NotUnicode {
        /// The config var.
        name: String,
    },
}

fn require<T>(name: &str, value: Option<T>) -> Result<T, ConfigError> {
    value.ok_or_else(|| ConfigError::Missing { name: name.to_owned(), expected: type_name::<T>() })
}

fn parse<T>(name: &str, value: Result<String, VarError>) -> Result<Option<T>, ConfigError>
where
    T: FromStr,
    T::Err: Display,
{
    match value {
        Ok(text) => text.parse().map(Some).map_err(|reason: T::Err| ConfigError::Invalid {
            name: name.to_owned(),
            expected: type_name::<T>(),
            reason: reason.to_string(),
        }),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(ConfigError::NotUnicode { name: name.to_owned() }),
    }
}

/// A type's name as people write it: `IpAddr`, not `core::net::ip_addr::IpAddr`.
fn type_name<T>() -> &'static str {
    let path = std::any::type_name::<T>();
    // The path of a generic type's argument would be cut in the middle, so those stay whole.
    if path.contains('<') { path } else { path.rsplit("::").next().unwrap_or(path) }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::net::IpAddr;
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn set(value: &str) -> Result<String, VarError> {
        Ok(value.to_owned())
    }

    #[test]
    fn reads_the_environment() {
        // Cargo sets this one for every test.
        assert_eq!(Config::get::<String>("CARGO_PKG_NAME").unwrap(), "wpaas-sdk");
        assert_eq!(Config::get_or("CARGO_PKG_NAME", String::new()).unwrap(), "wpaas-sdk");
        assert!(Config::get::<u16>("CARGO_PKG_NAME").is_err());
        assert!(Config::get_or("CARGO_PKG_NAME", 1_u16).is_err(), "wrong is not unset");
        assert_eq!(Config::find::<String>("WPAAS_SDK_NEVER_SET").unwrap(), None);
    }

    #[test]
    fn values_have_the_type_that_was_asked_for() {
        assert_eq!(parse::<u16>("PORT", set("5000")).unwrap(), Some(5000));
        assert_eq!(parse::<bool>("VERBOSE", set("true")).unwrap(), Some(true));
        assert_eq!(parse::<String>("EMPTY", set("")).unwrap(), Some(String::new()));
        assert_eq!(parse::<u16>("PORT", Err(VarError::NotPresent)).unwrap(), None);
    }

    #[test]
    fn errors_name_variable_and_type_but_not_the_value() {
        let error = parse::<u16>("PORT", set("s3cret")).unwrap_err().to_string();
        assert_eq!(error, "config var PORT is no u16: invalid digit found in string");
        let error = parse::<IpAddr>("PROXY", set("s3cret")).unwrap_err().to_string();
        assert_eq!(error, "config var PROXY is no IpAddr: invalid IP address syntax");

        let missing = require::<IpAddr>("PROXY", None).unwrap_err().to_string();
        assert_eq!(
            missing,
            "config var PROXY (IpAddr) is not set; set it with `wpaas config:set PROXY=…`"
        );

        let bytes = Err(VarError::NotUnicode(OsString::from_vec(vec![0xff])));
        assert_eq!(
            parse::<String>("NAME", bytes).unwrap_err().to_string(),
            "config var NAME is not UTF-8 text"
        );
    }
}
