//! The buildpacks of one build: those that were chosen, or the one that takes the app.

use std::{fs, path::Path};

use super::{
    Build, Buildpack, Commands, Tools,
    component::Prebuilt,
    external::{self, External, fetch},
    node::NodeJs,
    place::{Place, shown},
    python::Python,
    rust::Rust,
};
use crate::{Error, error::io_at};

/// Names of the source's files in an error.
const SHOWN_NAMES: usize = 8;

/// The buildpacks in the order in which they run.
pub(crate) struct Chosen {
    /// All but the last, which make what later ones need.
    pub(crate) before: Vec<Box<dyn Buildpack>>,
    /// The one that decides what the process types run.
    pub(crate) last: Box<dyn Buildpack>,
    /// The name of the last, if it still has to see whether the source is its kind of app.
    pub(crate) undetected: Option<String>,
}

/// Finds the buildpacks that the names and addresses `wanted` mean; those that are elsewhere are fetched. Without any,
/// the app itself says which.
pub(crate) async fn choose(build: &Build<'_>, wanted: &[String]) -> Result<Chosen, Error> {
    let limit = build.tools.limits.buildpacks_per_app;
    if wanted.len() as u64 > limit {
        let reason = format!("a build has at most {limit} buildpacks");
        return Err(Error::Buildpack { url: format!("{} of them", wanted.len()), reason });
    }
    let mut places = Vec::new();
    for text in wanted {
        places.push(place(text, build.tools)?);
    }
    fetch::forget_others(build.cache, &places)?;
    if places.len() > 1 {
        build.output.step("Using buildpacks:");
        for (number, text) in wanted.iter().enumerate() {
            build.output.detail(&format!("{}. {}", number + 1, shown(text)));
        }
    }
    let mut opened: Vec<Box<dyn Buildpack>> = Vec::new();
    for (text, place) in wanted.iter().zip(&places) {
        opened.push(match place {
            Place::BuiltIn(name) => built_in(name),
            place => Box::new(External::open(text, place, build).await?),
        });
    }
    let Some(last) = opened.pop() else {
        let last = detected(build).await?;
        return Ok(Chosen { before: opened, last, undetected: None });
    };
    if let Some(buildpack) = opened.iter().find(|buildpack| !buildpack.assists()) {
        let reason = "it makes what the process types run, so it can only be the last".into();
        return Err(Error::Buildpack { url: buildpack.name(), reason });
    }
    let name = wanted.last().map(|text| shown(text)).unwrap_or_default();
    // With several, those before it may make what it looks for, and users' own are not asked at all.
    if opened.is_empty() {
        must_take(&*last, &name, build).await?;
    }
    let asks = !opened.is_empty() && matches!(places.last(), Some(Place::BuiltIn(_)));
    Ok(Chosen { before: opened, last, undetected: asks.then_some(name) })
}

/// An error unless the buildpack takes the app.
pub(crate) async fn must_take(
    buildpack: &dyn Buildpack,
    name: &str,
    build: &Build<'_>,
) -> Result<(), Error> {
    if buildpack.detect(build).await? {
        return Ok(());
    }
    let reason = format!("the source is no {} app", buildpack.name());
    Err(Error::Buildpack { url: name.to_owned(), reason })
}

/// What a user's text means, if such a buildpack may be used here.
pub(crate) fn place(text: &str, tools: &Tools) -> Result<Place, Error> {
    let place = Place::parse(text).and_then(|place| match place.path() {
        Some(path) => external::allowed(path, tools).map(|()| place),
        None => Ok(place),
    });
    place.map_err(|reason| Error::Buildpack { url: shown(text), reason })
}

/// The buildpack that takes the app.
async fn detected(build: &Build<'_>) -> Result<Box<dyn Buildpack>, Error> {
    if build.procfile.is_some_and(Commands::is_empty) {
        let reason = "it declares no process type; add a line such as `web: npm start`";
        return Err(Error::procfile(None, reason));
    }
    let known: [Box<dyn Buildpack>; 4] =
        [Box::new(Prebuilt), Box::new(NodeJs), Box::new(Python), Box::new(Rust)];
    for buildpack in known {
        if buildpack.detect(build).await? {
            return Ok(buildpack);
        }
    }
    Err(Error::NoLanguage { found: names(build.dir)? })
}

fn built_in(name: &str) -> Box<dyn Buildpack> {
    match name {
        "heroku/nodejs" => Box::new(NodeJs),
        "heroku/python" => Box::new(Python),
        "wpaas/rust" => Box::new(Rust),
        _ => Box::new(Prebuilt),
    }
}

/// The names at the top of the tree, for an error.
fn names(dir: &Path) -> Result<String, Error> {
    let entries = fs::read_dir(dir).map_err(io_at(dir))?.filter_map(Result::ok);
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let more = names.len().saturating_sub(SHOWN_NAMES);
    names.truncate(SHOWN_NAMES);
    Ok(match (names.is_empty(), more) {
        (true, _) => "no files".into(),
        (false, 0) => names.join(", "),
        (false, more) => format!("{} and {more} more", names.join(", ")),
    })
}
