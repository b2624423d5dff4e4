//! The objects of the API: every property of Heroku's schema, and no other unless the client asked for wpaas'
//! own. What wpaas does not have (spaces, teams, regions) has the value that says so.

use serde_json::{Value, json};
use uuid::Uuid;
use wpaas_slug::feed::{DynoState, DynoStatus};

pub(crate) use super::extract::Extended;
use crate::{
    Inner,
    apps::App,
    auth::User,
    builds::Build,
    db,
    domains::Domain,
    drains::Drain,
    formation::{Process, SIZE},
    phases::{Phase, Status},
    releases::Release,
    slugs::SlugRow,
    stacks,
    webhooks::{Delivery, Happened, Webhook},
};

/// The only region's name. Heroku's default, because scripts and Terraform files name it.
pub(super) const REGION: &str = "us";

/// An id for something that has no row of its own: the same things have the same id for ever.
pub(super) fn stable_id(kind: &str, of: &str) -> String {
    db::stable_id(kind, of).to_string()
}

/// Heroku's times have no fraction of a second.
pub(super) fn time(stored: &str) -> String {
    match stored.get(..19) {
        Some(seconds) => format!("{seconds}Z"),
        None => stored.to_owned(),
    }
}

/// Adds wpaas' own fields where they were asked for.
fn extend(mut object: Value, extended: Extended, own: impl FnOnce() -> Value) -> Value {
    if extended.0
        && let (Some(object), Value::Object(own)) = (object.as_object_mut(), own())
    {
        object.extend(own);
    }
    object
}

fn app_ref(app: &App) -> Value {
    json!({"id": app.id, "name": app.name})
}

fn stack_ref(name: &str) -> Value {
    json!({"id": stable_id("stack", name), "name": name})
}

pub(super) fn account(user: &User) -> Value {
    json!({
        "allow_tracking": false,
        "beta": false,
        "country_of_residence": null,
        "created_at": time(&user.created_at),
        "default_organization": null,
        "default_team": null,
        "delinquent_at": null,
        "email": user.email,
        "federated": false,
        "id": user.id,
        "identity_provider": null,
        "last_login": null,
        "name": null,
        "sms_number": null,
        "suspended_at": null,
        "two_factor_authentication": false,
        "updated_at": time(&user.created_at),
        "verified": true,
    })
}

pub(super) fn collaborator(app: &App) -> Value {
    json!({
        "app": app_ref(app),
        "created_at": time(&app.created_at),
        "id": stable_id("collaborator", &format!("{}{}", app.id, app.owner_id)),
        "permissions": [],
        "role": "owner",
        "updated_at": time(&app.created_at),
        "user": {"email": app.owner_email, "federated": false, "id": app.owner_id},
    })
}

/// `current`: the app's release and its slug, unless they are damaged.
pub(crate) fn app(inner: &Inner, app: &App, current: Option<&(Release, Option<SlugRow>)>) -> Value {
    let slug = current.and_then(|(_, slug)| slug.as_ref());
    let stack = slug.and_then(|slug| slug.stack.as_deref()).unwrap_or(stacks::OWN);
    json!({
        "acm": false,
        "archived_at": null,
        "build_stack": stack_ref(stack),
        "buildpack_provided_description": slug.and_then(|slug| slug.buildpack.clone()),
        "created_at": time(&app.created_at),
        "generation": {"id": stable_id("generation", "cedar"), "name": "cedar"},
        "git_url": inner.urls.git(&app.name),
        "id": app.id,
        "internal_routing": false,
        "maintenance": app.maintenance,
        "name": app.name,
        "organization": null,
        "owner": {"email": app.owner_email, "id": app.owner_id},
        "region": {"id": stable_id("region", REGION), "name": REGION},
        "released_at": current.map(|(release, _)| time(&release.created_at)),
        "repo_size": null,
        "slug_size": slug.map(|slug| slug.size),
        "space": null,
        "stack": stack_ref(stack),
        "team": null,
        "updated_at": time(&app.updated_at),
        "web_url": inner.urls.apps.of(&app.name),
    })
}

pub(crate) fn release(
    inner: &Inner,
    app: &App,
    release: &Release,
    phase: Option<&Phase>,
    current: u64,
    extended: Extended,
) -> Value {
    let was_live = phase.is_none_or(|phase| phase.status == Status::Succeeded);
    let updated_at = phase.map_or(&release.created_at, |phase| &phase.updated_at);
    let output = phase.map(|phase| format!("{}/releases/{}/output", inner.urls.api, phase.token));
    let slug = release.event.slug.as_ref();
    let artifacts: Vec<Value> =
        slug.iter().map(|slug| json!({"id": slug.id, "type": "slug"})).collect();
    let object = json!({
        "addon_plan_names": [],
        "app": app_ref(app),
        "artifacts": artifacts,
        "created_at": time(&release.created_at),
        "current": release.version == current,
        "description": release.event.description,
        "eligible_for_rollback": slug.is_some() && was_live,
        "id": release.id,
        "output_stream_url": output,
        "slug": slug.map(|slug| json!({"id": slug.id})),
        "status": phase.map_or(Status::Succeeded, |phase| phase.status).name(),
        "updated_at": time(updated_at),
        "user": {"email": release.user_email, "id": release.user_id},
        "version": release.version,
    });
    extend(object, extended, || {
        json!({
            "config_digest": release.event.config,
            "egress_digest": release.event.egress,
            "hash": release.hash,
            "previous_hash": release.prev_hash,
            "rollback_of": release.event.rollback_of,
            "slug_digest": slug.map(|slug| slug.digest),
        })
    })
}

pub(super) fn slug(inner: &Inner, slug: &SlugRow, extended: Extended) -> Value {
    let object = json!({
        "blob": {"method": "PUT", "url": format!("{}/blobs/{}", inner.urls.api, slug.digest)},
        "buildpack_provided_description": slug.buildpack,
        // Heroku's form of a checksum: SHA256:hex.
        "checksum": format!("SHA256:{}", slug.digest.hex()),
        "commit": slug.commit,
        "commit_description": slug.commit_description,
        "created_at": time(&slug.created_at),
        "deleted_at": null,
        "id": slug.id,
        "process_types": slug.process_types,
        "size": slug.size,
        "stack": stack_ref(slug.stack.as_deref().unwrap_or(stacks::OWN)),
        "updated_at": time(&slug.created_at),
    });
    extend(object, extended, || json!({"digest": slug.digest}))
}

pub(crate) fn formation(app: &App, process: &Process, extended: Extended) -> Value {
    let object = json!({
        "app": app_ref(app),
        "command": process.command,
        "created_at": time(&process.created_at),
        "dyno_size": {"id": stable_id("dyno size", SIZE), "name": SIZE},
        "id": formation_id(app, &process.process_type),
        "quantity": process.scale.max,
        "size": SIZE,
        "type": process.process_type,
        "updated_at": time(&process.updated_at),
    });
    extend(object, extended, || json!({"quantity_min": process.scale.min}))
}

pub(super) fn formation_id(app: &App, process_type: &str) -> String {
    stable_id("formation", &format!("{} {process_type}", app.id))
}

pub(super) fn dyno(
    app: &App,
    dyno: &DynoStatus,
    attach_url: Option<&str>,
    extended: Extended,
) -> Value {
    let state = match dyno.state {
        DynoState::Starting => "starting",
        DynoState::Up => "up",
        DynoState::Idle if extended.0 => "idle",
        // Ready for a request, which is what Heroku's clients wait for (`heroku ps:wait` knows no other state).
        DynoState::Idle => "up",
        DynoState::Crashed => "crashed",
    };
    let since = dyno.since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let object = json!({
        "app": app_ref(app),
        "attach_url": attach_url,
        "command": dyno.command,
        "created_at": since,
        "id": dyno_id(app.id, dyno),
        "name": dyno.name,
        "release": {"id": dyno.release_id, "version": dyno.release_version},
        "size": SIZE,
        "state": state,
        "type": dyno.process_type,
        "updated_at": since,
    });
    extend(
        object,
        extended,
        || json!({"concurrency": dyno.concurrency, "isolation": dyno.isolation}),
    )
}

pub(super) fn dyno_id(app: Uuid, dyno: &DynoStatus) -> String {
    stable_id("dyno", &format!("{app} {} {}", dyno.release_id, dyno.name))
}

pub(crate) fn domain(inner: &Inner, app: &App, domain: &Domain) -> Value {
    let cname = format!("{}.{}", app.name, inner.urls.apps.domain);
    domain_object(app, domain, "custom", Some(cname))
}

/// The domain that every app has.
pub(super) fn default_domain(inner: &Inner, app: &App) -> Domain {
    let hostname = format!("{}.{}", app.name, inner.urls.apps.domain);
    let id = stable_id("domain", &app.id.to_string());
    Domain { id, hostname, created_at: app.created_at.clone() }
}

pub(super) fn domain_object(
    app: &App,
    domain: &Domain,
    kind: &str,
    cname: Option<String>,
) -> Value {
    json!({
        "acm_status": null,
        "acm_status_reason": null,
        "app": app_ref(app),
        "cname": cname,
        "created_at": time(&domain.created_at),
        "hostname": domain.hostname,
        "id": domain.id,
        "kind": kind,
        "sni_endpoint": null,
        "status": "succeeded",
        "updated_at": time(&domain.created_at),
    })
}

pub(super) fn drain(app: &App, drain: &Drain) -> Value {
    json!({
        "addon": null,
        "app": app_ref(app),
        "created_at": time(&drain.created_at),
        "id": drain.id,
        "token": drain.token,
        "updated_at": time(&drain.created_at),
        "url": drain.url,
    })
}

pub(super) fn webhook(app: &App, webhook: &Webhook) -> Value {
    json!({
        "app": app_ref(app),
        "created_at": time(&webhook.created_at),
        "id": webhook.id,
        "include": webhook.includes().collect::<Vec<_>>(),
        "level": webhook.level,
        "updated_at": time(&webhook.updated_at),
        "url": webhook.url,
    })
}

pub(super) fn webhook_delivery(delivery: &Delivery) -> Value {
    let at = delivery.attempt_at.as_deref().map(time);
    let last = delivery.attempt_id.as_ref().map(|id| {
        let code = delivery.attempt_code;
        let succeeded = code.is_some_and(|code| (200..300).contains(&code));
        json!({
            "code": code,
            "created_at": at,
            "error_class": delivery.attempt_error,
            "id": id,
            "status": if succeeded { "succeeded" } else { "failed" },
            "updated_at": at,
        })
    });
    let next = delivery.next_attempt_at.as_deref().map(time);
    json!({
        "created_at": time(&delivery.created_at),
        "event": {"id": delivery.event_id, "include": delivery.include},
        "id": delivery.id,
        "last_attempt": last,
        "next_attempt_at": next,
        "num_attempts": delivery.attempts,
        "status": delivery.status,
        "updated_at": time(&delivery.updated_at),
        "webhook": {"id": delivery.webhook_id, "level": delivery.level},
    })
}

pub(super) fn webhook_event(event: &Happened) -> Value {
    json!({
        "created_at": time(&event.created_at),
        "id": event.id,
        "include": event.include,
        "payload": serde_json::from_str::<Value>(&event.payload).unwrap_or_default(),
        "updated_at": time(&event.created_at),
    })
}

pub(crate) fn build(inner: &Inner, build: &Build, extended: Extended) -> Value {
    let id = |id: &Option<String>| id.as_ref().map(|id| json!({"id": id}));
    let told = build.buildpacks.as_deref().and_then(|told| serde_json::from_str(told).ok());
    let buildpacks = told.map(|told: Vec<String>| {
        Value::from_iter(told.iter().map(|url| json!({"url": url, "name": url})))
    });
    let object = json!({
        "app": {"id": build.app_id},
        "buildpacks": buildpacks,
        "created_at": time(&build.created_at),
        "generation": "cedar",
        "id": build.id,
        "output_stream_url": format!("{}/builds/{}/output", inner.urls.api, build.stream_token),
        "release": id(&build.release_id),
        "slug": id(&build.slug_id),
        "source_blob": {
            "checksum": build.source_checksum,
            "url": build.source_url,
            "version": build.source_version,
            "version_description": build.source_version_description,
        },
        "stack": build.stack.as_deref().unwrap_or(stacks::OWN),
        "status": build.status,
        "updated_at": time(&build.updated_at),
        "user": {"email": build.user_email, "id": build.user_id},
    });
    extend(object, extended, || {
        json!({
            "slug_digest": build.slug_digest,
            "steps": serde_json::from_str::<Value>(&build.steps).unwrap_or_else(|_| json!([])),
            "uploaded_blobs": build.uploaded_blobs,
        })
    })
}
