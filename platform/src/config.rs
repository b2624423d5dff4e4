//! Config vars.

use std::collections::BTreeMap;

use wpaas_slug::Limits;

use crate::{
    Ctx, Error, Inner,
    auth::User,
    locks::AppLock,
    names,
    releases::{self, Draft, Settings, Slug},
};

/// Config vars by name.
pub(crate) type Vars = BTreeMap<String, String>;

/// A change to config vars: `None` removes.
pub(crate) type Patch = BTreeMap<String, Option<String>>;

/// Applies a patch. Returns the new set and which names were set and removed; names that stay as they were
/// are in neither list.
fn patched(
    mut vars: Vars,
    patch: Patch,
    limits: &Limits,
) -> Result<(Vars, Vec<String>, Vec<String>), Error> {
    let (mut set, mut removed) = (Vec::new(), Vec::new());
    for (name, value) in patch {
        match value {
            None => {
                if vars.remove(&name).is_some() {
                    removed.push(name);
                }
            }
            Some(value) => {
                names::check_config_var(&name)?;
                if value.contains('\0') {
                    return Err(Error::Invalid(format!("Config var {name} holds a NUL byte.")));
                }
                if vars.get(&name) != Some(&value) {
                    vars.insert(name.clone(), value);
                    set.push(name);
                }
            }
        }
    }
    let bytes: usize = vars.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes as u64 > limits.config_vars_bytes {
        return Err(Error::Invalid(format!(
            "Config vars would take {bytes} bytes, more than the limit of {}. \
             Keep large values in files or in a service.",
            limits.config_vars_bytes
        )));
    }
    Ok((vars, set, removed))
}

/// Heroku's words for a change: `Set A, B config vars`.
fn describe(set: &[String], removed: &[String]) -> String {
    match (set, removed) {
        (set, []) => format!("Set {} config vars", set.join(", ")),
        ([], removed) => format!("Remove {} config vars", removed.join(", ")),
        (set, removed) => {
            format!("Set {} and remove {} config vars", set.join(", "), removed.join(", "))
        }
    }
}

impl Inner {
    /// Changes config vars, which makes a release without a build. When nothing changes, no release is made.
    pub(crate) async fn patch_config(
        self: &Ctx,
        lock: &AppLock,
        user: &User,
        patch: Patch,
    ) -> Result<Vars, Error> {
        let mut db = self.db.read().await?;
        let current = releases::current(&mut db, lock.app).await?;
        let Settings { config: vars, egress } = releases::settings(&mut db, &current).await?;
        drop(db);
        let (vars, set, removed) = patched(vars, patch, &self.limits)?;
        if set.is_empty() && removed.is_empty() {
            return Ok(vars);
        }
        let description = describe(&set, &removed);
        let draft = Draft {
            slug: current.event.slug.map(Slug::Stored),
            settings: Settings { config: vars.clone(), egress },
            said: format!("{description} by user {}", user.email),
            description,
            rollback_of: None,
            build: None,
            echo: None,
        };
        self.release(lock, user, draft).await?;
        Ok(vars)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(pairs: &[(&str, Option<&str>)]) -> Patch {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), v.map(str::to_owned))).collect()
    }

    #[test]
    fn patches_say_what_they_changed() {
        let limits = Limits { config_vars_bytes: 10, ..Limits::default() };
        let vars = Vars::from([("A".into(), "1".into()), ("B".into(), "2".into())]);
        let change = patch(&[("A", Some("1")), ("B", None), ("C", Some("3")), ("D", None)]);
        let (after, set, removed) = patched(vars.clone(), change, &limits).unwrap();
        assert_eq!(after, Vars::from([("A".into(), "1".into()), ("C".into(), "3".into())]));
        assert_eq!((set, removed), (vec!["C".to_owned()], vec!["B".to_owned()]));
        assert!(patched(vars.clone(), patch(&[("C", Some("12345"))]), &limits).is_ok());
        for bad in [("C", "123456"), ("1", ""), ("N", "\0")] {
            let change = patch(&[(bad.0, Some(bad.1))]);
            assert!(matches!(patched(vars.clone(), change, &limits), Err(Error::Invalid(_))));
        }
    }

    #[test]
    fn describes_as_heroku_does() {
        let (a, b) = (["A".to_owned(), "B".to_owned()], ["C".to_owned()]);
        assert_eq!(describe(&a, &[]), "Set A, B config vars");
        assert_eq!(describe(&[], &b), "Remove C config vars");
        assert_eq!(describe(&a, &b), "Set A, B and remove C config vars");
    }
}
