use wstd::http::{Body, Request, Response, Result, StatusCode};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>> {
    println!("{} {}", request.method(), request.uri().path());
    match request.uri().path() {
        "/" => Ok(Response::new("Hello from plain Rust!\n".into())),
        "/file" => Ok(Response::new(std::fs::read("/app/message.txt")?.into())),
        "/echo" => Ok(Response::new(request.into_body())),
        _ => Ok(Response::builder().status(StatusCode::NOT_FOUND).body("not found\n".into())?),
    }
}
