//! Errors as Heroku's bodies: `{id, message, url?}`.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use wpaas_slug::store;

use crate::Error;

/// An error response.
pub(super) fn response(status: StatusCode, body: &Value) -> Response {
    super::extract::reply(status, body)
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, id) = match &self {
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Self::Invalid(_) | Self::Build(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid_params")
            }
            Self::Refused(_) => (StatusCode::UNPROCESSABLE_ENTITY, "refused_by_node"),
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Self::Unauthorized | Self::WrongPassword => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            Self::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "rate_limit"),
            Self::Busy(_) => (StatusCode::TOO_MANY_REQUESTS, "busy"),
            Self::NotApplied(_) => (StatusCode::BAD_GATEWAY, "not_applied"),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            Self::Store(store::Error::Manifest(_) | store::Error::TooLarge { .. }) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid_params")
            }
            Self::Corrupt(_) => (StatusCode::INTERNAL_SERVER_ERROR, "damaged_data"),
            Self::Store(_)
            | Self::Database(_)
            | Self::Migrate(_)
            | Self::DataDir { .. }
            | Self::Io { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
        };
        let message = if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = %self, "API request failed");
            match &self {
                Self::Corrupt(_) => self.to_string(),
                // What the database or the disk says is the operator's business.
                _ => "Something went wrong inside wpaas; the server's log says what.".to_owned(),
            }
        } else {
            self.to_string()
        };
        let mut body = json!({"id": id, "message": message});
        if let (Self::NotFound(resource), Some(body)) = (&self, body.as_object_mut()) {
            body.insert("resource".into(), json!(resource.replace(' ', "_")));
        }
        let mut response = response(status, &body);
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"wpaas\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
