//! `http://APP.internal`: how a dyno reaches another app of its owner, inside this process.
//!
//! A request goes to the app's formation as one from outside does, through the router: what a dyno gets, waits for and
//! is told, and what the log says, is the same. What is not the same is how the app is found: by the name that was
//! dialled and not by `Host`, and only among the apps of the owner. To everybody else's dynos an app is as absent as one
//! that was never made.
//!
//! Nothing tells which request a guest makes another one for, so a circle of apps that call each other is not found by
//! following it. What bounds it is that an app has a limited number of requests to others under way.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, OnceLock, Weak},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Version, header};
use http_body::Body;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wasmtime_wasi_http::Error as WasiError;
use wpaas_slug::{Limits, egress::Host};

use crate::{
    body::RouterBody,
    connection::{self, Terms},
    forward::Client,
    net::{DYNO, HostEnd},
    protocol,
    router::{Router, To},
};

/// The port that apps are reached on.
pub(crate) const PORT: u16 = 80;
const SUFFIX: &str = ".internal";

/// The app that `host` names, if it names one: `web` of `web.internal`. Names further down are of the DNS.
pub(crate) fn app_of(host: &Host) -> Option<&str> {
    let Host::Name(name) = host else { return None };
    name.strip_suffix(SUFFIX).filter(|name| !name.contains('.'))
}

/// The apps of a node, as dynos see them.
pub(crate) struct Neighbours {
    /// Set when the node is complete. Weak, since the router's apps have dynos that have this.
    router: OnceLock<Weak<Router>>,
    most: u64,
    /// Requests and connections under way, by the app that makes them.
    under_way: Mutex<HashMap<Uuid, u64>>,
}

/// Why there is no way to an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The owner has no app of this name.
    NoSuchApp,
    /// The app that asks has as many requests to others under way as it may.
    TooMany(u64),
}

/// A way to another app, for one request or one connection.
pub(crate) struct Way {
    router: Arc<Router>,
    to: To,
    place: Place,
}

/// A place among the requests to other apps that an app has under way.
pub(crate) struct Place {
    neighbours: Arc<Neighbours>,
    from: Uuid,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.neighbours.under_way.lock();
        let Some(count) = under_way.get_mut(&self.from) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            under_way.remove(&self.from);
        }
    }
}

impl Neighbours {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        let most = limits.internal_requests;
        Arc::new(Self { router: OnceLock::new(), most, under_way: Mutex::default() })
    }

    /// From now on apps are found.
    pub(crate) fn connect(&self, router: &Arc<Router>) {
        let _ = self.router.set(Arc::downgrade(router));
    }

    /// The way of the app `from` to its owner's app `name`.
    pub(crate) fn way(self: &Arc<Self>, from: Uuid, name: &str) -> Result<Way, Closed> {
        let router = self.router.get().and_then(Weak::upgrade).ok_or(Closed::NoSuchApp)?;
        let to = To::Neighbour { from, name: name.into() };
        router.find(&to, "").ok_or(Closed::NoSuchApp)?;
        Ok(Way { router, to, place: self.place(from)? })
    }

    fn place(self: &Arc<Self>, from: Uuid) -> Result<Place, Closed> {
        let mut under_way = self.under_way.lock();
        let count = under_way.get(&from).copied().unwrap_or_default();
        if count >= self.most {
            return Err(Closed::TooMany(self.most));
        }
        under_way.insert(from, count + 1);
        Ok(Place { neighbours: Arc::clone(self), from })
    }
}

impl Way {
    /// Asks the app. The place is to be kept until the response has ended.
    pub(crate) async fn ask<B>(self, mut request: Request<B>) -> (Response<RouterBody>, Place)
    where
        B: Body<Data = Bytes, Error: Into<WasiError>> + Send + 'static,
    {
        let Self { router, to, place } = self;
        let host = request.uri().authority().map(|authority| authority.as_str().to_owned());
        if let Some(host) = host.and_then(|host| HeaderValue::from_str(&host).ok()) {
            request.headers_mut().insert(header::HOST, host);
        }
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map(Into::into).unwrap_or_default();
        *request.version_mut() = Version::HTTP_11;
        // Whoever cannot change the protocol has not asked for that.
        let mut tunnel = None;
        (router.handle(request, client(), &to, &mut tunnel).await, place)
    }

    /// Serves a connection that a dyno has made to the app, to its end.
    pub(crate) async fn converse(self, stream: HostEnd) {
        let Self { router, to, place: _place } = self;
        let host = Arc::clone(&router.resources.host);
        let terms = Terms {
            router,
            protocol: protocol::builder(&host.limits),
            limits: Arc::clone(&host.limits),
            draining: host.stopping.clone(),
            // With its dyno the connection ends anyway.
            stop: CancellationToken::new(),
        };
        if let Err(error) = connection::serve(&terms, stream, client(), &to).await {
            tracing::debug!("connection between apps ended: {error}");
        }
    }
}

/// Who the app sees: no dyno has an address of its own.
fn client() -> Client {
    Client { ip: IpAddr::V4(DYNO), tls: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_label_is_an_app_and_more_are_a_name() {
        let app = |text: &str| app_of(&Host::parse(text).unwrap()).map(str::to_owned);
        assert_eq!(app("web.internal").as_deref(), Some("web"));
        assert_eq!(app("WEB.Internal.").as_deref(), Some("web"));
        for other in
            ["internal", "a.b.internal", "web.internal.example.com", "webinternal", "10.0.0.1"]
        {
            assert_eq!(app(other), None, "{other}");
        }
    }

    #[test]
    fn places_are_counted_by_app_and_given_back() {
        let limits = Limits { internal_requests: 2, ..Limits::default() };
        let neighbours = Neighbours::new(&limits);
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = neighbours.place(one);
        let _second = neighbours.place(one).ok().unwrap();
        assert_eq!(neighbours.place(one).err(), Some(Closed::TooMany(2)));
        let other = neighbours.place(two).ok().unwrap();
        drop(first);
        assert!(neighbours.place(one).is_ok());
        drop(other);
        assert_eq!(neighbours.under_way.lock().len(), 1, "nothing is kept of those that have none");
    }
}
