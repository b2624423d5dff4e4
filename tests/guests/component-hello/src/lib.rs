//! The smallest useful HTTP component: the bindings of the `wasip2` crate and nothing above them.

use wasip2::cli::environment::get_environment;
use wasip2::http::proxy::export;
use wasip2::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct Hello;

impl wasip2::exports::http::incoming_handler::Guest for Hello {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        println!("{} {path}", method(&request.method()));
        let (status, body) = match path {
            "/" => (200, "Hello from a component!\n".to_owned()),
            "/env" => (200, environment()),
            _ => (404, "not found\n".to_owned()),
        };
        respond(out, status, body.as_bytes());
    }
}

/// The dyno's environment, sorted by name so that two calls compare equal.
fn environment() -> String {
    let mut variables = get_environment();
    variables.sort();
    variables.into_iter().map(|(name, value)| name + "=" + &value + "\n").collect()
}

fn method(method: &Method) -> &str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => name,
    }
}

/// Sends a whole response. A client that went away is no error of the app, so failed writes are ignored.
fn respond(out: ResponseOutparam, status: u16, body: &[u8]) {
    let headers = Fields::new();
    let length = body.len().to_string();
    for (name, value) in
        [("content-type", "text/plain; charset=utf-8"), ("content-length", &length)]
    {
        // Both names are fixed and allowed, so the only failure is a host out of memory.
        let _ = headers.append(name, value.as_bytes());
    }
    let response = OutgoingResponse::new(headers);
    let _ = response.set_status_code(status);
    let Ok(outgoing) = response.body() else { return };
    ResponseOutparam::set(out, Ok(response));
    if let Ok(stream) = outgoing.write() {
        for chunk in body.chunks(4096) {
            if stream.blocking_write_and_flush(chunk).is_err() {
                return;
            }
        }
    }
    let _ = OutgoingBody::finish(outgoing, None);
}

export!(Hello with_types_in wasip2);
