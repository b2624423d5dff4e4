//! `GET /metrics` for Prometheus, on an address of its own: it is the operator's, not the apps'.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::sync::Semaphore;
use wpaas_slug::Limits;

/// The type of the text, by which Prometheus knows how to read it.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Makes the text of a scrape.
type Scrape = Arc<dyn Fn() -> String + Send + Sync>;

#[derive(Clone)]
struct Page {
    scrape: Scrape,
    /// With thousands of apps a scrape is megabytes of text, so there may not be any number of them.
    scrapes: Arc<Semaphore>,
}

/// The page, made by `scrape` at each request; at most `metrics_scrapes` at the same time.
pub(crate) fn router(
    limits: &Limits,
    scrape: impl Fn() -> String + Send + Sync + 'static,
) -> Router {
    let scrapes = Limits::size(limits.metrics_scrapes).min(Semaphore::MAX_PERMITS);
    let page = Page { scrape: Arc::new(scrape), scrapes: Arc::new(Semaphore::new(scrapes)) };
    Router::new().route("/metrics", get(metrics)).with_state(page)
}

async fn metrics(State(page): State<Page>) -> Response {
    let Ok(place) = page.scrapes.try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many scrapes at once\n").into_response();
    };
    let scrape = move || {
        let text = (page.scrape)();
        drop(place);
        text
    };
    match tokio::task::spawn_blocking(scrape).await {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => {
            tracing::error!("cannot show metrics: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::net::TcpListener;

    use super::*;

    async fn serve(router: Router) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    #[tokio::test]
    async fn shows_the_text_with_its_type() {
        let limits = Limits::default();
        let url = serve(router(&limits, || "# EOF\n".into())).await;
        let response = reqwest::get(format!("{url}/metrics")).await.unwrap();
        assert_eq!(response.headers()["content-type"], OPENMETRICS);
        assert_eq!(response.text().await.unwrap(), "# EOF\n");
        assert_eq!(reqwest::get(format!("{url}/")).await.unwrap().status(), 404);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn more_scrapes_than_the_limit_are_refused() {
        let (started, starts) = mpsc::channel();
        let (finish, finished) = mpsc::channel::<()>();
        let finished = parking_lot::Mutex::new(finished);
        let scrape = move || {
            // Nobody waits for the second one.
            started.send(()).ok();
            finished.lock().recv().unwrap();
            String::new()
        };
        let limits = Limits { metrics_scrapes: 1, ..Limits::default() };
        let url = format!("{}/metrics", serve(router(&limits, scrape)).await);
        let first = tokio::spawn(reqwest::get(url.clone()));
        tokio::task::spawn_blocking(move || starts.recv().unwrap()).await.unwrap();
        assert_eq!(reqwest::get(&url).await.unwrap().status(), 503);
        finish.send(()).unwrap();
        assert_eq!(first.await.unwrap().unwrap().status(), 200);
        finish.send(()).unwrap();
        assert_eq!(reqwest::get(&url).await.unwrap().status(), 200);
    }
}
