//! What the tests of wasi:http 0.3 ask for, by path. One instance serves many requests, so whatever is
//! static is shared by them.

use std::cell::Cell;

use wasip3::{
    cli::environment::get_environment,
    clocks::monotonic_clock::wait_for,
    http::{
        client,
        types::{ErrorCode, Fields, Method, Request, Response, Scheme},
    },
    wit_bindgen, wit_future, wit_stream,
};

const MILLISECOND: u64 = 1_000_000;

thread_local! {
    /// Requests that this instance has had.
    static SERVED: Cell<u32> = const { Cell::new(0) };
    /// Requests to `/together`.
    static TOGETHER: Cell<u32> = const { Cell::new(0) };
    /// Requests whose client went away.
    static GONE: Cell<u32> = const { Cell::new(0) };
}

struct P3;

wasip3::http::service::export!(P3);

impl wasip3::exports::http::handler::Guest for P3 {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        SERVED.set(SERVED.get() + 1);
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        match path {
            "/" => Ok(text("Hello from 0.3!\n")),
            "/served" => Ok(text(&SERVED.get().to_string())),
            "/gone" => Ok(text(&GONE.get().to_string())),
            "/env" => Ok(text(&std::env::var("DYNO").unwrap_or_default())),
            "/env3" => Ok(text(&environment("DYNO"))),
            "/log" => {
                println!("{query}");
                Ok(text("logged"))
            }
            // Answers when as many requests as the query says are here at once.
            "/together" => {
                TOGETHER.set(TOGETHER.get() + 1);
                let wanted = query.parse().unwrap_or(1);
                while TOGETHER.get() < wanted {
                    wait_for(MILLISECOND).await;
                }
                Ok(text(&wanted.to_string()))
            }
            "/echo" => Ok(echo(request)),
            "/never" => {
                println!("waiting");
                loop {
                    wait_for(1000 * MILLISECOND).await;
                }
            }
            // A body without an end.
            "/half" => Ok(half()),
            // Computes most of the time, and always gives way to others.
            "/busy" => loop {
                (0..5_000_000).for_each(|number| drop(std::hint::black_box(number)));
                wait_for(MILLISECOND).await;
            },
            // Waits the way of WASI 0.2, in which nothing else of the instance comes forward.
            "/sleep" => {
                println!("sleeping");
                std::thread::sleep(std::time::Duration::from_secs(3600));
                Ok(text("slept"))
            }
            "/trap" => std::process::abort(),
            "/spin" => loop {
                std::hint::black_box(0);
            },
            "/fail" => Err(ErrorCode::InternalError(Some("not today".to_owned()))),
            // Asks for memory until there is no more.
            "/grow" => {
                let mut held = Vec::new();
                loop {
                    held.push(std::hint::black_box(vec![1_u8; 1 << 20]));
                }
            }
            // Makes streams without end, of which each is two handles.
            "/handles" => loop {
                std::mem::forget(wit_stream::new::<u8>());
            },
            // Goes on computing when the response is complete.
            "/after" => {
                wit_bindgen::spawn(async {
                    wait_for(10 * MILLISECOND).await;
                    loop {
                        std::hint::black_box(0);
                    }
                });
                Ok(text("done"))
            }
            "/write" => {
                let written = std::fs::write("/app/note", query)
                    .and_then(|()| std::fs::read_to_string("/app/note"));
                Ok(text(&format!("{written:?}")))
            }
            "/preopens" => {
                Ok(text(&wasip3::filesystem::preopens::get_directories().len().to_string()))
            }
            "/socket" => Ok(text(&socket().await)),
            "/fetch" => Ok(text(&fetch(query).await)),
            _ => Ok(text("not found")),
        }
    }
}

fn environment(name: &str) -> String {
    let variables = get_environment();
    variables.into_iter().find(|(key, _)| key == name).map(|(_, value)| value).unwrap_or_default()
}

fn text(text: &str) -> Response {
    let body = text.as_bytes().to_vec();
    let headers = Fields::new();
    let _ = headers.set("content-length", &[body.len().to_string().into_bytes()]);
    let (mut sender, receiver) = wit_stream::new();
    let (trailers, trailers_receiver) = wit_future::new(|| Ok(None));
    let (response, _) = Response::new(headers, Some(receiver), trailers_receiver);
    drop(trailers);
    wit_bindgen::spawn(async move {
        sender.write_all(body).await;
    });
    response
}

fn half() -> Response {
    let (mut sender, receiver) = wit_stream::new();
    let (trailers, trailers_receiver) = wit_future::new(|| Ok(None));
    let (response, _) = Response::new(Fields::new(), Some(receiver), trailers_receiver);
    wit_bindgen::spawn(async move {
        let _open = trailers;
        // The client is gone when nobody takes a part any more. Writing once more would be a trap.
        let mut part = b"half".to_vec();
        while sender.write_all(part).await.is_empty() {
            part = b".".to_vec();
            wait_for(MILLISECOND).await;
        }
        GONE.set(GONE.get() + 1);
    });
    response
}

/// Sends what comes as it comes, and its trailers with a name of our own.
fn echo(request: Request) -> Response {
    let (result, result_receiver) = wit_future::new(|| Ok(()));
    let (mut body, request_trailers) = Request::consume_body(request, result_receiver);
    let (mut sender, receiver) = wit_stream::new();
    let (trailers, trailers_receiver) = wit_future::new(|| Ok(None));
    let (response, _) = Response::new(Fields::new(), Some(receiver), trailers_receiver);
    wit_bindgen::spawn(async move {
        loop {
            let (status, bytes) = body.read(Vec::with_capacity(16 * 1024)).await;
            if !bytes.is_empty() && !sender.write_all(bytes).await.is_empty() {
                break;
            }
            if !matches!(status, wit_bindgen::StreamResult::Complete(_)) {
                break;
            }
        }
        drop(sender);
        let mut names = Vec::new();
        if let Ok(Some(fields)) = request_trailers.await {
            names.extend(fields.copy_all().into_iter().map(|(name, _)| name));
        }
        let fields = Fields::new();
        let _ = fields.set("x-seen", &[names.join(",").into_bytes()]);
        let _ = trailers.write(Ok(Some(fields))).await;
        drop(result);
    });
    response
}

async fn socket() -> String {
    use wasip3::sockets::types::{IpAddressFamily, TcpSocket};
    match TcpSocket::create(IpAddressFamily::Ipv4) {
        Ok(_) => "a socket".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

/// Requests `AUTHORITY/PATH` and tells what came.
async fn fetch(target: &str) -> String {
    let (authority, path) = target.split_once('/').unwrap_or((target, ""));
    let (trailers, trailers_receiver) = wit_future::new(|| Ok(None));
    drop(trailers);
    let (request, _) = Request::new(Fields::new(), None, trailers_receiver, None);
    let _ = request.set_method(&Method::Get);
    let _ = request.set_scheme(Some(&Scheme::Http));
    let _ = request.set_authority(Some(authority));
    let _ = request.set_path_with_query(Some(&format!("/{path}")));
    match client::send(request).await {
        Err(error) => format!("{error:?}"),
        Ok(response) => {
            let status = response.get_status_code();
            let (result, result_receiver) = wit_future::new(|| Ok(()));
            drop(result);
            let (mut body, _trailers) = Response::consume_body(response, result_receiver);
            let mut all = Vec::new();
            loop {
                let (status, bytes) = body.read(Vec::with_capacity(4096)).await;
                all.extend(bytes);
                if !matches!(status, wit_bindgen::StreamResult::Complete(_)) {
                    break;
                }
            }
            format!("{status} {}", String::from_utf8_lossy(&all))
        }
    }
}
