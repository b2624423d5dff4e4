//! The benchmarks' guest: what a Rust programmer writes to answer `Hello, world!` with the bindings of the
//! `wasip2` crate, and nothing else, so that a host is measured and not an app.

use wasip2::http::proxy::export;
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct Hello;

impl wasip2::exports::http::incoming_handler::Guest for Hello {
    fn handle(_request: IncomingRequest, out: ResponseOutparam) {
        let body = b"Hello, world!";
        let headers = Fields::new();
        // Both names are fixed and allowed, so the only failure is a host out of memory.
        let _ = headers.append("content-type", b"text/plain");
        let _ = headers.append("content-length", body.len().to_string().as_bytes());
        let response = OutgoingResponse::new(headers);
        let Ok(outgoing) = response.body() else { return };
        ResponseOutparam::set(out, Ok(response));
        if let Ok(stream) = outgoing.write() {
            // A client that went away is no error of the app.
            let _ = stream.blocking_write_and_flush(body);
        }
        let _ = OutgoingBody::finish(outgoing, None);
    }
}

export!(Hello with_types_in wasip2);
