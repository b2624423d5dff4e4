//! Dynos that listen on `$PORT`.

mod autobahn;
mod grpc;
mod http;
mod life;
mod many;
mod python;
mod soak;
mod upgrade;

use wpaas_slug::{
    Limits, World,
    feed::{AppSpec, Scale},
};

use crate::support::{Host, app, host, process_type, slug_of};

/// An app of the socket guest, begun with these arguments, with up to one dyno.
pub async fn socket_app(host: &Host, args: &[&str]) -> AppSpec {
    let mut web = process_type(&host.store, "socket", World::Cli).await;
    web.args.extend(args.iter().map(ToString::to_string));
    let mut app = app("app", Some(slug_of(&host.store, vec![("web", web)]).await));
    app.formation.insert("web".into(), Scale { min: 0, max: 1 });
    app
}

/// A node with that app.
pub async fn socket(args: &[&str], change: impl FnOnce(&mut Limits)) -> (Host, AppSpec) {
    let host = host(change).await;
    let app = socket_app(&host, args).await;
    host.apply(&app).await;
    (host, app)
}
