//! What can go wrong between the command and the server, in words that say what to do next.

use reqwest::StatusCode;
use serde::Deserialize;

use crate::credentials::Token;

/// Why the server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// `--api` or `WPAAS_API` is not a URL that can be used.
    #[error(
        "{url:?} is not the address of a server: {reason} (--api or WPAAS_API, like http://127.0.0.1:5080)"
    )]
    BadUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers there.
    #[error("no wpaas server at {url}: start one with `wpaas serve`{}", in_brackets(.reason))]
    Unreachable {
        /// The server's address.
        url: String,
        /// More than "connection refused", if it was something else.
        reason: Option<String>,
    },
    /// The connection broke while the server worked.
    #[error("lost the connection to the server at {url}: {reason}")]
    Lost {
        /// The server's address.
        url: String,
        /// How.
        reason: String,
    },
    /// 401.
    #[error("not authorised at {url}: {advice}")]
    Unauthorised {
        /// The server's address.
        url: String,
        /// Which token was refused, and how to give another.
        advice: String,
    },
    /// 403.
    #[error("{message}")]
    Forbidden {
        /// The server's words.
        message: String,
    },
    /// The server understood and says no.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// Heroku's error id: `not_found`, `invalid_params`, …
        id: String,
        /// The server's words.
        message: String,
    },
    /// The server has a fault of its own.
    #[error("the server failed ({status}): {message}{}", in_brackets(.request_id))]
    Server {
        /// HTTP status.
        status: StatusCode,
        /// The server's words.
        message: String,
        /// To find it in the server's log.
        request_id: Option<String>,
    },
    /// Something answers there that does not speak the Platform API.
    #[error("{url} does not answer as a wpaas server does: {reason}")]
    Protocol {
        /// The server's address.
        url: String,
        /// What is strange.
        reason: String,
    },
}

fn in_brackets(text: &Option<String>) -> String {
    text.as_ref().map(|text| format!(" ({text})")).unwrap_or_default()
}

/// The body of an error: `{"id": "not_found", "message": "Couldn't find that app."}`.
#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    id: String,
    message: String,
}

impl Error {
    /// From a request that got no answer.
    pub(crate) fn transport(url: &str, error: &reqwest::Error) -> Self {
        let url = url.to_owned();
        let reason = root(error);
        if error.is_connect() {
            let refused = reason.to_lowercase().contains("connection refused");
            return Self::Unreachable { url, reason: (!refused).then_some(reason) };
        }
        if error.is_timeout() {
            return Self::Lost { url, reason: "it did not answer in time".to_owned() };
        }
        if error.is_builder() {
            return Self::BadUrl { url, reason };
        }
        Self::Lost { url, reason }
    }

    /// From an answer that is not a success.
    pub(crate) fn response(
        url: &str,
        token: Option<&Token>,
        status: StatusCode,
        request_id: Option<String>,
        body: &[u8],
    ) -> Self {
        let body: Option<Body> = serde_json::from_slice(body).ok();
        let url = url.to_owned();
        if status == StatusCode::UNAUTHORIZED {
            return Self::Unauthorised { advice: advice(token), url };
        }
        let Some(Body { id, message }) = body else {
            let reason = format!("status {status} without an explanation");
            return if status.is_server_error() {
                Self::Server { status, message: "no explanation".to_owned(), request_id }
            } else {
                Self::Protocol { url, reason }
            };
        };
        match status {
            StatusCode::FORBIDDEN => Self::Forbidden { message },
            status if status.is_server_error() => Self::Server { status, message, request_id },
            status => Self::Refused { status, id, message },
        }
    }

    /// Whether the server does not know the token.
    pub(crate) fn is_unauthorised(&self) -> bool {
        matches!(self, Self::Unauthorised { .. })
    }

    /// Whether the thing that was asked for does not exist.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::NOT_FOUND)
    }

    /// Whether a name could not be had because someone has it.
    pub(crate) fn is_name_taken(&self) -> bool {
        match self {
            Self::Refused { status, message, .. } => {
                let unacceptable =
                    [StatusCode::UNPROCESSABLE_ENTITY, StatusCode::CONFLICT].contains(status);
                unacceptable && message.to_lowercase().contains("taken")
            }
            _ => false,
        }
    }
}

fn advice(token: Option<&Token>) -> String {
    match token {
        Some(Token { origin, .. }) => format!(
            "the server does not know the token from {origin}. Log in with `wpaas login`, set WPAAS_API_KEY to one \
             that it knows, or run `wpaas serve` with the data directory that the token belongs to"
        ),
        None => {
            "there is no token for this server. Log in with `wpaas login`, set WPAAS_API_KEY, or run this \
                 as the user who started `wpaas serve`: its first start writes the token"
                .to_owned()
        }
    }
}

/// The innermost cause: "Connection refused (os error 111)" rather than "error sending request".
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://127.0.0.1:5080";

    fn from(status: u16, body: &str) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        Error::response(URL, None, status, Some("req-1".into()), body.as_bytes())
    }

    #[test]
    fn the_servers_words_are_kept() {
        let missing = from(404, r#"{"id":"not_found","message":"Couldn't find that app."}"#);
        assert_eq!(missing.to_string(), "Couldn't find that app.");
        assert!(missing.is_not_found() && !missing.is_name_taken());
        let taken = from(422, r#"{"id":"invalid_params","message":"Name demo is already taken"}"#);
        assert!(taken.is_name_taken() && !taken.is_not_found());
        let invalid =
            from(422, r#"{"id":"invalid_params","message":"Name must start with a letter"}"#);
        assert!(!invalid.is_name_taken());
    }

    #[test]
    fn a_refused_token_is_named_by_its_origin_and_not_shown() {
        let token = Token { value: "s3cret".into(), origin: "WPAAS_API_KEY".into() };
        let status = StatusCode::UNAUTHORIZED;
        let refused = Error::response(URL, Some(&token), status, None, b"").to_string();
        assert!(refused.contains("token from WPAAS_API_KEY"), "{refused}");
        assert!(!refused.contains("s3cret"), "{refused}");
        let missing = Error::response(URL, None, status, None, b"").to_string();
        assert!(missing.contains("there is no token for this server"), "{missing}");
    }

    #[test]
    fn what_is_not_a_wpaas_server_is_told_from_one_that_fails() {
        let strange = from(404, "<html>nginx</html>");
        assert!(matches!(strange, Error::Protocol { .. }), "{strange}");
        assert!(!strange.is_not_found());
        let failing = from(500, r#"{"id":"internal","message":"disk full"}"#).to_string();
        assert!(failing.contains("disk full (req-1)"), "{failing}");
        assert!(matches!(from(502, ""), Error::Server { .. }));
        let forbidden = from(403, r#"{"id":"forbidden","message":"Not yours."}"#);
        assert!(matches!(forbidden, Error::Forbidden { .. }));
    }
}
