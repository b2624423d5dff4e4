//! A port of this machine that passes HTTP on to the server, for clients that go nowhere else.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures::StreamExt as _;
use tokio::{net::TcpListener, sync::Semaphore};

use crate::api::Client;

/// Headers of a connection, which are not the next one's (RFC 9110, 7.6.1), and those that the next one sets itself.
const OF_THE_CONNECTION: [header::HeaderName; 7] = [
    header::CONNECTION,
    header::HOST,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

#[derive(Clone)]
struct Forwarder {
    client: Client,
    /// Requests that may be under way.
    room: Arc<Semaphore>,
}

/// Passes everything on until it is dropped. Bodies are not kept, in either direction.
pub(crate) async fn serve(listener: TcpListener, client: Client) -> std::io::Result<()> {
    let room = wpaas_slug::Limits::size(client.limits().client_forwards);
    let forwarder = Forwarder { client, room: Arc::new(Semaphore::new(room)) };
    axum::serve(listener, Router::new().fallback(pass).with_state(forwarder)).await
}

async fn pass(State(forwarder): State<Forwarder>, request: Request) -> Response {
    let Ok(permit) = forwarder.room.clone().acquire_owned().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let (mut parts, body) = request.into_parts();
    strip(&mut parts.headers);
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let body = reqwest::Body::wrap_stream(body.into_data_stream());
    let answer = forwarder.client.forward(parts.method, path, parts.headers, body).await;
    match answer {
        Ok(answer) => {
            let (status, mut headers) = (answer.status(), answer.headers().clone());
            strip(&mut headers);
            let body = answer.bytes_stream().map(move |chunk| {
                let _held = &permit;
                chunk
            });
            let mut response = Response::new(Body::from_stream(body));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            response
        }
        // In the words of the API's own errors, which clients print.
        Err(error) => {
            let body = serde_json::json!({"id": "bad_gateway", "message": error.to_string()});
            (StatusCode::BAD_GATEWAY, axum::Json(body)).into_response()
        }
    }
}

fn strip(headers: &mut HeaderMap) {
    for name in &OF_THE_CONNECTION {
        headers.remove(name);
    }
}
