//! What the dynos of a release are made of: the slug on disk, and the code of its process types.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};

use uuid::Uuid;
use wpaas_slug::{ComponentRef, Digest, Isolation, Limits, ProcessType, World, feed::ReleaseSpec};

use crate::{
    Error,
    app::Resources,
    cgi,
    checkout::Checkout,
    code::{Code, GuestPre},
    compile::Urgency,
    dyno::{DynoSpec, environment, with_port},
    metrics::AppMetrics,
    net::Egress,
};

/// A slug on disk with the code of its process types.
pub(crate) struct Parts {
    pub(crate) checkout: Arc<Checkout>,
    /// By process type.
    pub(crate) guests: BTreeMap<String, Guest>,
    pub(crate) stack: Option<(String, Digest)>,
}

/// What the dynos of one process type run.
pub(crate) struct Guest {
    pub(crate) code: Arc<Code>,
    pub(crate) pre: GuestPre,
}

/// What dynos have of their release.
pub(crate) struct Tenant<'a> {
    pub(crate) app: Uuid,
    pub(crate) metrics: Arc<AppMetrics>,
    pub(crate) release: &'a ReleaseSpec,
    pub(crate) egress: Arc<Egress>,
}

impl Parts {
    /// Fetches and compiles what is not there yet.
    pub(crate) async fn get(
        resources: &Resources,
        slug: Digest,
        urgency: Urgency,
    ) -> Result<Self, Error> {
        let checkout = resources.checkouts.get(slug).await?;
        let config = &checkout.config;
        let stack = match &config.stack {
            None => None,
            Some(name) => {
                let component = resources.stacks.read().get(name).copied();
                Some((name.clone(), component.ok_or_else(|| Error::UnknownStack(name.clone()))?))
            }
        };
        let mut guests = BTreeMap::new();
        for (name, process) in &config.processes {
            let component = match (&process.component, &stack) {
                (ComponentRef::Own { digest, .. }, _) => *digest,
                (ComponentRef::Stack, Some((_, component))) => *component,
                // The slug's own check has refused this.
                (ComponentRef::Stack, None) => continue,
            };
            let code = resources.codes.get(component, urgency).await?;
            let pre = code.guest(process.world)?;
            guests.insert(name.clone(), Guest { code, pre });
        }
        Ok(Self { checkout, guests, stack })
    }

    /// What all dynos of a process type have in common.
    pub(crate) fn dyno_spec(
        &self,
        tenant: &Tenant<'_>,
        (name, process): (&str, &ProcessType),
        guest: &Guest,
        limits: &Limits,
    ) -> DynoSpec {
        let boots_on_request =
            process.component == ComponentRef::Stack && process.world == World::Http;
        let mut args: Vec<String> = process.args.iter().map(|arg| with_port(arg)).collect();
        if boots_on_request {
            args.insert(0, format!("--boot-timeout-ms={}", limits.boot_ms));
        }
        let mut env = environment(&tenant.release.config, &tenant.egress);
        if process.world == World::Cgi {
            env.retain(|(name, _)| !cgi::is_reserved(name));
        }
        DynoSpec {
            app: tenant.app,
            metrics: Arc::clone(&tenant.metrics),
            process_type: name.into(),
            command: process.command.clone(),
            release_id: tenant.release.id,
            release_version: tenant.release.version,
            env,
            args,
            boots_on_request,
            isolation: process.isolation,
            checkout: Arc::clone(&self.checkout),
            concurrency: concurrency(process, &guest.pre, limits),
            _code: Arc::clone(&guest.code),
            egress: Arc::clone(&tenant.egress),
        }
    }
}

/// Requests that one instance works on at once.
fn concurrency(process: &ProcessType, pre: &GuestPre, limits: &Limits) -> Option<NonZeroU32> {
    let requests = match (pre, process.isolation) {
        (GuestPre::Command(_), _) => return None,
        (GuestPre::Http(_) | GuestPre::Cgi(_), _) | (_, Isolation::Request) => 1,
        (GuestPre::HttpP3(_), Isolation::Instance) => {
            let wanted = process.concurrency.map_or(limits.requests_at_once, u64::from);
            u32::try_from(wanted.min(limits.requests_at_once_max)).unwrap_or(u32::MAX)
        }
    };
    Some(NonZeroU32::new(requests).unwrap_or(NonZeroU32::MIN))
}
