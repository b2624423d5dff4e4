//! Pages of lists, as Heroku's `Range` header asks for them. Parsing the header is `api/range.rs`.

use sqlx::{AnyConnection, FromRow, Row as _, any::AnyRow};

use crate::Error;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// Order by this; lists fall back to their first key.
    pub(crate) key: Option<String>,
    /// Where to start in the order of the list, and whether the value itself is left out.
    pub(crate) start: Option<(String, bool)>,
    /// Where to end, included.
    pub(crate) end: Option<String>,
    /// Backwards.
    pub(crate) descending: bool,
    /// At most so many items.
    pub(crate) max: u64,
}

/// Something that a list can be ordered by: unique within the list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// As the header names it.
    name: &'static str,
    /// As SQL names it.
    column: &'static str,
    number: bool,
}

impl Key {
    pub(crate) const fn text(name: &'static str, column: &'static str) -> Self {
        Self { name, column, number: false }
    }

    pub(crate) const fn number(name: &'static str, column: &'static str) -> Self {
        Self { name, column, number: true }
    }
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed<T> {
    pub(crate) items: Vec<T>,
    /// The key that it is ordered by.
    pub(crate) key: &'static str,
    /// The first and the last item's key.
    pub(crate) ends: Option<(String, String)>,
    /// Whether there is a next page.
    pub(crate) more: bool,
}

impl<T> Listed<T> {
    pub(crate) fn try_map<U>(
        self,
        map: impl FnMut(T) -> Result<U, Error>,
    ) -> Result<Listed<U>, Error> {
        let items = self.items.into_iter().map(map).collect::<Result<_, _>>()?;
        Ok(Listed { items, key: self.key, ends: self.ends, more: self.more })
    }
}

/// The key that a page is ordered by and whether the request named it; bounds of an unknown key mean nothing.
fn chosen(keys: &'static [Key], page: &Page) -> Option<(&'static Key, bool)> {
    let named = keys.iter().find(|key| Some(key.name) == page.key.as_deref());
    match named {
        Some(key) => Some((key, true)),
        None => keys.first().map(|key| (key, false)),
    }
}

/// Runs `base`, a SELECT whose WHERE has `$1` bound to `owner`, for one page of its rows.
pub(crate) async fn select<T: for<'r> FromRow<'r, AnyRow>>(
    db: &mut AnyConnection,
    base: String,
    owner: String,
    keys: &'static [Key],
    page: &Page,
) -> Result<Listed<T>, Error> {
    let Some((key, named)) = chosen(keys, page) else {
        return Err(Error::BadRequest("this list has no order".into()));
    };
    let mut sql = base;
    let mut bounds = Vec::new();
    // A text bound for a number cannot match anything: such a bound is left out.
    let usable = |value: &String| named && (!key.number || value.parse::<i64>().is_ok());
    let mut bound = |operator: &str, value: &str| {
        bounds.push(value.to_owned());
        let place = bounds.len() + 1;
        let column = key.column;
        if key.number {
            sql.push_str(&format!(" AND {column} {operator} CAST(${place} AS BIGINT)"));
        } else {
            sql.push_str(&format!(" AND {column} {operator} ${place}"));
        }
    };
    let (after, before) = if page.descending { ("<", ">") } else { (">", "<") };
    if let Some((value, exclusive)) = page.start.as_ref().filter(|(value, _)| usable(value)) {
        let equal = if *exclusive { "" } else { "=" };
        bound(&format!("{after}{equal}"), value);
    }
    if let Some(value) = page.end.as_ref().filter(|value| usable(value)) {
        bound(&format!("{before}="), value);
    }
    let order = if page.descending { "DESC" } else { "ASC" };
    let limit = page.max.saturating_add(1);
    sql.push_str(&format!(" ORDER BY {} {order} LIMIT {limit}", key.column));
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(owner);
    for value in bounds {
        query = query.bind(value);
    }
    let mut rows = query.fetch_all(db).await?;
    let more = rows.len() as u64 > page.max;
    rows.truncate(usize::try_from(page.max).unwrap_or(usize::MAX));
    let column = key.column.rsplit('.').next().unwrap_or(key.column);
    let value = |row: &AnyRow| -> Result<String, Error> {
        if key.number {
            Ok(row.try_get::<i64, _>(column)?.to_string())
        } else {
            Ok(row.try_get::<String, _>(column)?)
        }
    };
    let ends = match (rows.first(), rows.last()) {
        (Some(first), Some(last)) => Some((value(first)?, value(last)?)),
        _ => None,
    };
    let items = rows.iter().map(T::from_row).collect::<Result<_, _>>()?;
    Ok(Listed { items, key: key.name, ends, more })
}

/// One page of a list that is in memory, ordered by what `key` yields.
pub(crate) fn slice<T>(
    mut items: Vec<T>,
    name: &'static str,
    key: impl Fn(&T) -> String,
    page: &Page,
) -> Listed<T> {
    items.sort_by_key(&key);
    if page.descending {
        items.reverse();
    }
    if page.key.as_deref() == Some(name) {
        let later = |a: &str, b: &str| if page.descending { a < b } else { a > b };
        if let Some((start, exclusive)) = &page.start {
            items.retain(|item| {
                let key = key(item);
                later(&key, start) || (!exclusive && key == *start)
            });
        }
        if let Some(end) = &page.end {
            items.retain(|item| !later(&key(item), end));
        }
    }
    let max = usize::try_from(page.max).unwrap_or(usize::MAX);
    let more = items.len() > max;
    items.truncate(max);
    let ends = items.first().zip(items.last()).map(|(first, last)| (key(first), key(last)));
    Listed { items, key: name, ends, more }
}
