//! Authorizations: the tokens of an account, as Heroku's API shows them. What a token may do is its scope.
//!
//! A token is shown when it is made and never again, since only its hash is kept.

use axum::http::Method;
use jiff::{SignedDuration, Timestamp};
use sqlx::AnyConnection;
use uuid::Uuid;

use crate::{
    Error, Inner,
    auth::{User, digest, secret},
    db,
};

/// Characters of a description.
const MAX_DESCRIPTION: usize = 255;

/// What a token may do (Heroku's OAuth scopes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everything.
    Global,
    /// The account's own data.
    Identity,
    /// Reads apps, but neither config vars nor releases (nor egress rules, which belong to them).
    Read,
    /// Reads and changes apps, but neither config vars nor releases.
    Write,
    /// Reads apps with config vars and releases.
    ReadProtected,
    /// Reads and changes apps with config vars and releases.
    WriteProtected,
}

const SCOPES: [(&str, Scope); 6] = [
    ("global", Scope::Global),
    ("identity", Scope::Identity),
    ("read", Scope::Read),
    ("write", Scope::Write),
    ("read-protected", Scope::ReadProtected),
    ("write-protected", Scope::WriteProtected),
];

/// What of an app takes a protected scope. Webhooks are told of releases.
const PROTECTED: [&str; 6] =
    ["config-vars", "egress", "releases", "webhooks", "webhook-deliveries", "webhook-events"];

impl Scope {
    pub(crate) fn name(self) -> &'static str {
        SCOPES.iter().find(|(_, scope)| *scope == self).map_or("", |(name, _)| name)
    }

    fn named(name: &str) -> Result<Self, Error> {
        let found = SCOPES.iter().find(|(known, _)| *known == name).map(|(_, scope)| *scope);
        found.ok_or_else(|| {
            let names = SCOPES.map(|(name, _)| name).join(", ");
            Error::Invalid(format!("{name:?} is not a scope. Scopes are {names}."))
        })
    }

    fn allows(self, method: &Method, path: &str) -> bool {
        let mut parts = path.trim_start_matches('/').split('/');
        let (first, second, third) = (parts.next(), parts.next(), parts.next());
        // A fetch asks with POST.
        let reads =
            matches!(*method, Method::GET | Method::HEAD) || second == Some("git-upload-pack");
        let account = first == Some("account") || (first == Some("users") && third.is_none());
        // Who can log in is for those who can do everything.
        let keys = first == Some("oauth") || (account && !reads);
        let protected = first == Some("apps")
            && second.is_some()
            && third.is_some_and(|third| PROTECTED.contains(&third));
        match self {
            Self::Global => true,
            _ if keys => false,
            _ if account => true,
            Self::Identity => false,
            Self::Read => reads && !protected,
            Self::Write => !protected,
            Self::ReadProtected => reads,
            Self::WriteProtected => true,
        }
    }
}

/// The scopes of a token, which add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scopes(Vec<Scope>);

impl Scopes {
    /// What the owner may do.
    pub(crate) fn everything() -> Self {
        Self(vec![Scope::Global])
    }

    /// Reads names as a request has them. None means everything, as on Heroku.
    pub(crate) fn named(names: &[String]) -> Result<Self, Error> {
        if names.is_empty() {
            return Ok(Self::everything());
        }
        let mut scopes = Vec::new();
        for name in names {
            let scope = Scope::named(name)?;
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        Ok(Self(scopes))
    }

    /// The names, as responses have them.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|scope| scope.name()).collect()
    }

    /// Whether a request is within them.
    pub(crate) fn allow(&self, method: &Method, path: &str) -> Result<(), Error> {
        if self.0.iter().any(|scope| scope.allows(method, path)) {
            return Ok(());
        }
        let names = self.names().join(", ");
        Err(Error::Forbidden(format!(
            "This token's scope ({names}) does not include the request. Use a token with a wider scope."
        )))
    }

    fn stored(&self) -> String {
        self.names().join(" ")
    }

    fn of_row(text: &str) -> Result<Self, Error> {
        let scopes = text.split_whitespace().map(Scope::named).collect::<Result<Vec<_>, _>>();
        scopes.map(Self).map_err(|_| Error::Corrupt(format!("{text:?} is stored as a scope")))
    }
}

/// A token without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authorization {
    pub(crate) id: Uuid,
    pub(crate) digest: String,
    pub(crate) description: String,
    pub(crate) scopes: Scopes,
    pub(crate) created_at: String,
    pub(crate) expires_at: Option<String>,
}

pub(crate) type Row = (Option<String>, String, String, String, String, Option<String>);
pub(crate) const COLUMNS: &str = "tokens.id, tokens.digest, tokens.description, tokens.scope, tokens.created_at, tokens.expires_at";

impl Authorization {
    pub(crate) fn of_row(row: Row) -> Result<Self, Error> {
        let (id, digest, description, scope, created_at, expires_at) = row;
        let id = match id {
            Some(id) => db::id(&id)?,
            // A token from before tokens had ids.
            None => db::stable_id("authorization", &digest),
        };
        let scopes = Scopes::of_row(&scope)?;
        Ok(Self { id, digest, description, scopes, created_at, expires_at })
    }

    /// Seconds until it expires; `None` for never.
    pub(crate) fn expires_in(&self) -> Option<i64> {
        let at: Timestamp = self.expires_at.as_deref()?.parse().ok()?;
        Some(at.duration_since(Timestamp::now()).as_secs().max(0))
    }
}

/// A new token, as text that is shown once.
fn new_token() -> Result<String, Error> {
    Ok(format!("wpaas_{}", secret()?))
}

/// Makes a token for an account.
pub(crate) async fn create(
    db: &mut AnyConnection,
    user: &User,
    description: &str,
    scopes: &Scopes,
    expires_at: Option<String>,
) -> Result<(Authorization, String), Error> {
    let token = new_token()?;
    let authorization = Authorization {
        id: db::new_id(),
        digest: digest(&token),
        description: description.chars().take(MAX_DESCRIPTION).collect(),
        scopes: scopes.clone(),
        created_at: db::now(),
        expires_at,
    };
    sqlx::query(
        "INSERT INTO tokens (digest, user_id, description, created_at, expires_at, id, scope) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(authorization.digest.clone())
    .bind(user.id.to_string())
    .bind(authorization.description.clone())
    .bind(authorization.created_at.clone())
    .bind(authorization.expires_at.clone())
    .bind(authorization.id.to_string())
    .bind(scopes.stored())
    .execute(db)
    .await?;
    Ok((authorization, token))
}

/// An account's tokens that have not expired, oldest first.
pub(crate) async fn list(db: &mut AnyConnection, user: Uuid) -> Result<Vec<Authorization>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM tokens WHERE user_id = $1 AND (expires_at IS NULL OR expires_at > $2) \
         ORDER BY created_at, digest"
    );
    let rows: Vec<Row> = db::fetch_all(db, sql, [user.to_string(), db::now()]).await?;
    rows.into_iter().map(Authorization::of_row).collect()
}

/// One of an account's tokens.
pub(crate) async fn find(
    db: &mut AnyConnection,
    user: Uuid,
    id: &str,
) -> Result<Authorization, Error> {
    let found = list(db, user).await?.into_iter().find(|one| one.id.to_string() == id);
    found.ok_or(Error::NotFound("authorization"))
}

impl Inner {
    /// Makes a token that expires in so many seconds, or never.
    pub(crate) async fn authorize(
        &self,
        user: &User,
        description: &str,
        scopes: &Scopes,
        expires_in: Option<i64>,
    ) -> Result<(Authorization, String), Error> {
        let expires_at = match expires_in {
            None => None,
            Some(seconds @ 1..) => {
                let at = Timestamp::now().checked_add(SignedDuration::from_secs(seconds));
                Some(db::at(at.map_err(|_| {
                    Error::Invalid("expires_in is too far away; leave it out for never.".into())
                })?))
            }
            Some(_) => return Err(Error::Invalid("expires_in is a number of seconds.".into())),
        };
        let mut write = self.db.write().await?;
        sqlx::query("DELETE FROM tokens WHERE expires_at <= $1")
            .bind(db::now())
            .execute(&mut *write)
            .await?;
        let most = self.limits.tokens_per_account;
        if list(&mut write, user.id).await?.len() as u64 >= most {
            return Err(Error::Invalid(format!(
                "An account can have at most {most} tokens. Revoke some with `authorizations:revoke`."
            )));
        }
        let made = create(&mut write, user, description, scopes, expires_at).await?;
        write.commit().await?;
        Ok(made)
    }

    /// Ends a token.
    pub(crate) async fn revoke(&self, user: &User, id: &str) -> Result<Authorization, Error> {
        let mut write = self.db.write().await?;
        let found = find(&mut write, user.id, id).await?;
        sqlx::query("DELETE FROM tokens WHERE digest = $1")
            .bind(found.digest.clone())
            .execute(&mut *write)
            .await?;
        write.commit().await?;
        Ok(found)
    }

    /// Gives a token another description.
    pub(crate) async fn describe(
        &self,
        user: &User,
        id: &str,
        description: &str,
    ) -> Result<Authorization, Error> {
        let mut write = self.db.write().await?;
        let mut found = find(&mut write, user.id, id).await?;
        found.description = description.chars().take(MAX_DESCRIPTION).collect();
        sqlx::query("UPDATE tokens SET description = $1 WHERE digest = $2")
            .bind(found.description.clone())
            .bind(found.digest.clone())
            .execute(&mut *write)
            .await?;
        write.commit().await?;
        Ok(found)
    }

    /// Puts another secret in a token's place; the old one ends.
    pub(crate) async fn rotate(
        &self,
        user: &User,
        id: &str,
    ) -> Result<(Authorization, String), Error> {
        let token = new_token()?;
        let mut write = self.db.write().await?;
        let mut found = find(&mut write, user.id, id).await?;
        sqlx::query("UPDATE tokens SET digest = $1, id = $2 WHERE digest = $3")
            .bind(digest(&token))
            .bind(found.id.to_string())
            .bind(found.digest.clone())
            .execute(&mut *write)
            .await?;
        write.commit().await?;
        found.digest = digest(&token);
        Ok((found, token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_allow_what_herokus_do() {
        let cases = [
            ("GET", "/account", "global identity read write read-protected write-protected"),
            ("PATCH", "/account", "global"),
            ("GET", "/oauth/authorizations", "global"),
            ("POST", "/oauth/authorizations", "global"),
            ("GET", "/apps", "global read write read-protected write-protected"),
            ("POST", "/apps", "global write write-protected"),
            ("DELETE", "/apps/x", "global write write-protected"),
            ("GET", "/apps/x/dynos", "global read write read-protected write-protected"),
            ("GET", "/apps/x/config-vars", "global read-protected write-protected"),
            ("PATCH", "/apps/x/config-vars", "global write-protected"),
            ("GET", "/apps/x/releases/2/config-vars", "global read-protected write-protected"),
            ("POST", "/apps/x/releases", "global write-protected"),
            ("GET", "/apps/x/webhook-events/1", "global read-protected write-protected"),
            ("POST", "/apps/x/webhooks", "global write-protected"),
        ];
        for (method, path, allowed) in cases {
            let method: Method = method.parse().unwrap();
            for (name, scope) in SCOPES {
                let expected = allowed.split(' ').any(|one| one == name);
                assert_eq!(scope.allows(&method, path), expected, "{name}: {method} {path}");
            }
        }
    }

    #[test]
    fn no_scope_means_everything_and_unknown_ones_are_refused() {
        assert_eq!(Scopes::named(&[]).unwrap().names(), ["global"]);
        let names = ["read".to_owned(), "identity".to_owned(), "read".to_owned()];
        assert_eq!(Scopes::named(&names).unwrap().names(), ["read", "identity"]);
        assert!(matches!(Scopes::named(&["root".into()]), Err(Error::Invalid(_))));
    }
}
