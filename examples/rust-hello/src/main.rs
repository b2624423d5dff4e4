use wpaas_sdk::{Body, Config, Error, Request, Response, Result, StatusCode, tracing};

#[wpaas_sdk::http]
async fn main(request: Request<Body>) -> Result<Response<Body>> {
    let path = request.uri().path();
    tracing::info!(method = %request.method(), path, "request");
    match path {
        "/" => {
            let greeting = Config::get_or("GREETING", "Hello".to_owned())?;
            text(StatusCode::OK, format!("{greeting} from Rust!\n"))
        }
        "/env" => text(StatusCode::OK, environment()),
        "/echo" => Ok(Response::new(request.into_body())),
        "/error" => Err(Error::msg("this goes to the log")),
        "/panic" => panic!("this goes to the log too"),
        _ => text(StatusCode::NOT_FOUND, format!("no page {path}\n")),
    }
}

fn text(status: StatusCode, text: String) -> Result<Response<Body>> {
    let response = Response::builder().status(status);
    Ok(response.header("content-type", "text/plain; charset=utf-8").body(text.into())?)
}

/// The config vars and what the dyno adds to them. Only an example: a real app keeps them to itself.
fn environment() -> String {
    let mut variables: Vec<_> = std::env::vars().collect();
    variables.sort();
    variables.into_iter().map(|(name, value)| format!("{name}={value}\n")).collect()
}
