//! The builder as the platform uses it. A trait of two methods, so that the control plane can be tested
//! without toolchains.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use wpaas_builder::{Builder, Output, Request};
use wpaas_slug::{Digest, Slug};

use crate::Error;

/// Takes a build's output, line by line.
pub(crate) type Lines = Box<dyn Fn(&str) + Send + Sync>;

/// A source tree to build.
pub(crate) struct Job {
    /// The unpacked source; the builder may change it.
    pub(crate) source: PathBuf,
    /// The app's build cache, which persists.
    pub(crate) cache: PathBuf,
    /// Config vars.
    pub(crate) env: BTreeMap<String, String>,
    /// The buildpacks that the user chose, in order.
    pub(crate) buildpacks: Vec<String>,
    /// Where the output goes.
    pub(crate) output: Lines,
}

/// A slug that is in the store.
pub(crate) struct Compiled {
    pub(crate) slug: Slug,
    /// Blobs that the store did not have before.
    pub(crate) uploaded_blobs: u64,
    /// The stack that the slug needs.
    pub(crate) stack: Option<(String, Digest)>,
    /// What took how long.
    pub(crate) steps: Vec<(String, Duration)>,
}

/// Turns source into slugs.
#[async_trait::async_trait]
pub(crate) trait Compile: Send + Sync + 'static {
    /// Builds a source tree.
    async fn build(&self, job: Job) -> Result<Compiled, Error>;
    /// The buildpack that a user's text means, in the form to keep.
    fn buildpack(&self, text: &str) -> Result<String, Error>;
    /// Makes sure that a stack is in the store.
    async fn ensure_stack(&self, name: &str, output: Lines) -> Result<Digest, Error>;
}

#[async_trait::async_trait]
impl Compile for Builder {
    async fn build(&self, job: Job) -> Result<Compiled, Error> {
        let request = Request {
            source: job.source,
            cache: job.cache,
            env: job.env,
            buildpacks: job.buildpacks,
            output: Output::new(job.output),
        };
        let built =
            Builder::build(self, request).await.map_err(|error| Error::Build(error.to_string()))?;
        Ok(Compiled {
            slug: built.slug,
            uploaded_blobs: built.written.new_blobs,
            stack: built.stack.map(|stack| (stack.name, stack.component)),
            steps: built.steps,
        })
    }

    fn buildpack(&self, text: &str) -> Result<String, Error> {
        Builder::buildpack(self, text).map_err(|error| {
            let mut text = error.to_string();
            text.get_mut(..1).map(str::make_ascii_uppercase);
            Error::Invalid(format!("{text}."))
        })
    }

    async fn ensure_stack(&self, name: &str, output: Lines) -> Result<Digest, Error> {
        let stack = Builder::ensure_stack(self, name, &Output::new(output))
            .await
            .map_err(|error| Error::Build(error.to_string()))?;
        Ok(stack.component)
    }
}
