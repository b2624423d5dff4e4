//! Egress rules: what an app's dynos may connect to. They are part of a release as config vars are.

use wpaas_slug::{Limits, feed::EgressRule};

use crate::{
    Ctx, Error, Inner,
    auth::User,
    locks::AppLock,
    releases::{self, Draft, Settings, Slug},
    sets::{self, Kind},
};

/// A change to the rules of an app, in which a rule is known by its destination.
#[derive(Debug, Default)]
pub(crate) struct Patch {
    /// New ones, and those that replace one for the same destination.
    pub(crate) allow: Vec<EgressRule>,
    /// Destinations whose rule goes: `HOST:PORT`.
    pub(crate) deny: Vec<String>,
}

/// What a patch did, by destination.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changed {
    allowed: Vec<String>,
    denied: Vec<String>,
}

/// Destinations that a release's description names; further ones are counted.
const NAMED: usize = 5;

/// A rule from what a client wrote, its host in the one spelling.
pub(crate) fn check(rule: EgressRule) -> Result<EgressRule, Error> {
    let parsed = parse(&rule.destination())?;
    let EgressRule { tls, ca, .. } = rule;
    if ca.as_ref().is_some_and(|pem| !pem.contains("-----BEGIN CERTIFICATE-----")) {
        return Err(Error::Invalid(format!(
            "The authority for {} must be certificates in PEM, beginning with \
             -----BEGIN CERTIFICATE-----.",
            parsed.destination()
        )));
    }
    let name = parsed.host.strip_suffix(".internal");
    if name.is_some_and(|app| !app.contains(['.', '*'])) {
        return Err(Error::Invalid(format!(
            "{} is an app of this platform: http://{} needs no rule between apps of one owner.",
            parsed.host, parsed.host
        )));
    }
    Ok(EgressRule { tls, ca, ..parsed })
}

fn parse(destination: &str) -> Result<EgressRule, Error> {
    EgressRule::parse(destination).map_err(|error| Error::Invalid(format!("{error}.")))
}

/// Applies a patch; the rules are in the order of their destinations.
fn patched(mut rules: Vec<EgressRule>, patch: Patch) -> Result<(Vec<EgressRule>, Changed), Error> {
    let mut changed = Changed::default();
    for destination in patch.deny {
        let destination = parse(&destination)?.destination();
        let before = rules.len();
        rules.retain(|rule| rule.destination() != destination);
        if rules.len() == before {
            return Err(Error::Invalid(format!(
                "No egress rule for {destination}; `wpaas egress` lists those that there are."
            )));
        }
        changed.denied.push(destination);
    }
    for rule in patch.allow {
        let rule = check(rule)?;
        let destination = rule.destination();
        if rules.contains(&rule) {
            continue;
        }
        rules.retain(|other| other.destination() != destination);
        rules.push(rule);
        changed.denied.retain(|denied| *denied != destination);
        changed.allowed.push(destination);
    }
    rules.sort_by_key(EgressRule::destination);
    Ok((rules, changed))
}

fn check_limits(rules: &[EgressRule], limits: &Limits) -> Result<(), Error> {
    let most = limits.egress_rules;
    if rules.len() as u64 > most {
        return Err(Error::Invalid(format!(
            "The app would have {} egress rules, more than the limit of {most}. A rule may name a network, or \
             every name below a suffix.",
            rules.len()
        )));
    }
    let (text, _) = sets::text(Kind::Egress, &rules)?;
    let most = limits.egress_rules_bytes;
    if text.len() as u64 > most {
        return Err(Error::Invalid(format!(
            "Egress rules would take {} bytes with their certificates, more than the limit of {most}. Give only \
             the certificate of the authority that signs the server's.",
            text.len()
        )));
    }
    Ok(())
}

/// In the style of Heroku's words for config vars: `Allow egress to a:1 and deny egress to b:2`.
fn describe(changed: &Changed) -> String {
    let list = |all: &[String]| {
        let named: Vec<&str> = all.iter().take(NAMED).map(String::as_str).collect();
        match all.len().saturating_sub(NAMED) {
            0 => named.join(", "),
            more => format!("{} and {more} more", named.join(", ")),
        }
    };
    match (changed.allowed.as_slice(), changed.denied.as_slice()) {
        (allowed, []) => format!("Allow egress to {}", list(allowed)),
        ([], denied) => format!("Deny egress to {}", list(denied)),
        (allowed, denied) => {
            format!("Allow egress to {} and deny egress to {}", list(allowed), list(denied))
        }
    }
}

impl Inner {
    /// Changes egress rules, which makes a release without a build. When nothing changes, no release is made.
    pub(crate) async fn patch_egress(
        self: &Ctx,
        lock: &AppLock,
        user: &User,
        patch: Patch,
    ) -> Result<Vec<EgressRule>, Error> {
        let mut db = self.db.read().await?;
        let current = releases::current(&mut db, lock.app).await?;
        let Settings { config, egress } = releases::settings(&mut db, &current).await?;
        drop(db);
        let (egress, changed) = patched(egress, patch)?;
        if changed == Changed::default() {
            return Ok(egress);
        }
        check_limits(&egress, &self.limits)?;
        // Only the new ones: an operator who closes a network must not keep an app from changing other rules.
        let named = |rule: &&EgressRule| changed.allowed.contains(&rule.destination());
        let allowed: Vec<EgressRule> = egress.iter().filter(named).cloned().collect();
        self.node.check_egress(&allowed).await.map_err(Error::Refused)?;
        let description = describe(&changed);
        let draft = Draft {
            slug: current.event.slug.map(Slug::Stored),
            settings: Settings { config, egress: egress.clone() },
            said: format!("{description} by user {}", user.email),
            description,
            rollback_of: None,
            build: None,
            echo: None,
        };
        self.release(lock, user, draft).await?;
        Ok(egress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> EgressRule {
        EgressRule::parse(text).unwrap()
    }

    fn changed(allowed: &[&str], denied: &[&str]) -> Changed {
        let own = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect();
        Changed { allowed: own(allowed), denied: own(denied) }
    }

    #[test]
    fn a_patch_says_what_it_changed() {
        let rules = vec![rule("a.com:1"), rule("b.com:2")];
        let patch = Patch {
            allow: vec![
                rule("c.com:3"),
                rule("a.com:1"),
                EgressRule { ca: None, ..rule("B.com.:4") },
            ],
            deny: vec!["B.COM:2".into()],
        };
        let (after, what) = patched(rules.clone(), patch).unwrap();
        assert_eq!(after, [rule("a.com:1"), rule("b.com:4"), rule("c.com:3")]);
        assert_eq!(what, changed(&["c.com:3", "b.com:4"], &["b.com:2"]));
        // The same destination in another way replaces the rule.
        let tls = EgressRule { tls: Some(wpaas_slug::feed::EgressTls::Tls), ..rule("a.com:1") };
        let patch = Patch { allow: vec![tls.clone()], deny: vec![] };
        let (after, what) = patched(rules.clone(), patch).unwrap();
        assert_eq!((after.len(), &after[0]), (2, &tls));
        assert_eq!(what, changed(&["a.com:1"], &[]));
        let patch = Patch { allow: vec![rule("a.com:1")], deny: vec![] };
        assert_eq!(patched(rules.clone(), patch).unwrap().1, Changed::default());
        let patch = Patch { allow: vec![], deny: vec!["c.com:3".into()] };
        let error = patched(rules, patch).unwrap_err().to_string();
        assert!(error.contains("No egress rule for c.com:3"), "{error}");
    }

    #[test]
    fn what_cannot_be_a_rule_says_why() {
        let bad = |host: &str, ca: Option<&str>| {
            let ca = ca.map(str::to_owned);
            let rule = EgressRule { host: host.into(), port: Some(80), tls: None, ca };
            check(rule).unwrap_err().to_string()
        };
        assert!(bad("a b", None).contains("is not a host name"));
        assert!(bad("web.internal", None).contains("needs no rule"));
        assert!(bad("db", Some("x")).contains("certificates in PEM"));
        let zone = EgressRule::parse("metadata.google.internal:80").unwrap();
        assert!(check(zone).is_ok(), "a name of a DNS zone");
    }

    #[test]
    fn rules_are_limited_in_number_and_size() {
        let limits = Limits { egress_rules: 2, egress_rules_bytes: 90, ..Limits::default() };
        let short: Vec<_> = ["a:1", "b:1", "c:1"].map(rule).into();
        assert!(check_limits(&short[..2], &limits).is_ok());
        let error = check_limits(&short, &limits).unwrap_err().to_string();
        assert!(error.contains("3 egress rules, more than the limit of 2"), "{error}");
        let long = [EgressRule { ca: Some("x".repeat(90)), ..rule("a:1") }];
        let error = check_limits(&long, &limits).unwrap_err().to_string();
        assert!(error.contains("more than the limit of 90"), "{error}");
    }

    #[test]
    fn descriptions_stay_short() {
        assert_eq!(describe(&changed(&["a:1"], &[])), "Allow egress to a:1");
        assert_eq!(describe(&changed(&[], &["a:1", "b:2"])), "Deny egress to a:1, b:2");
        let many = ["a:1", "b:1", "c:1", "d:1", "e:1", "f:1", "g:1"];
        assert_eq!(
            describe(&changed(&many, &["x:1"])),
            "Allow egress to a:1, b:1, c:1, d:1, e:1 and 2 more and deny egress to x:1"
        );
    }
}
