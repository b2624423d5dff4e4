//! What a deploy led to, for people and for scripts, and where its time went.

use std::time::Instant;

use serde_json::{Value, json};

use crate::commands::Context;

/// Times of a deploy's steps, one after the other.
#[derive(Debug)]
pub(super) struct Steps {
    began: Instant,
    last: Instant,
    done: Vec<Value>,
}

impl Steps {
    pub(super) fn start() -> Self {
        let now = Instant::now();
        Self { began: now, last: now, done: Vec::new() }
    }

    /// The time since the last step ended belongs to `name`.
    pub(super) fn end(&mut self, name: &str) {
        self.end_with(name, &Value::Null);
    }

    /// As [`Steps::end`], with the step's own steps if there are any.
    pub(super) fn end_with(&mut self, name: &str, steps: &Value) {
        let now = Instant::now();
        let mut step = json!({ "name": name, "ms": milliseconds(now, self.last) });
        if let (Some(step), Value::Array(_)) = (step.as_object_mut(), steps) {
            step.insert("steps".to_owned(), steps.clone());
        }
        self.done.push(step);
        self.last = now;
    }
}

fn milliseconds(now: Instant, then: Instant) -> f64 {
    // One decimal: a warm step takes less than a millisecond, and a script wants to add them up.
    (now.duration_since(then).as_secs_f64() * 10_000.0).round() / 10.0
}

/// A deploy that is live.
#[derive(Debug)]
pub(super) struct Deployed {
    pub(super) app: String,
    pub(super) version: u64,
    pub(super) url: Option<String>,
    /// The slug's manifest digest, if the server told.
    pub(super) slug_digest: Value,
    /// How many blobs the store did not have.
    pub(super) uploaded_blobs: Value,
    /// Whether the build's output has told the release and its address already.
    pub(super) announced: bool,
}

impl Deployed {
    /// Prints it.
    pub(super) fn print(&self, context: &Context, steps: &Steps, json: bool) -> anyhow::Result<()> {
        if json {
            return context.ui.json(&self.to_json(steps));
        }
        if self.announced {
            return Ok(());
        }
        let url = self.url.as_deref().unwrap_or(&self.app);
        context.ui.line(format_args!("-----> Released v{}", self.version))?;
        Ok(context.ui.line(format_args!("       {url} deployed to wpaas"))?)
    }

    fn to_json(&self, steps: &Steps) -> Value {
        json!({
            "app": self.app,
            "release": format!("v{}", self.version),
            "url": self.url,
            "slug_digest": self.slug_digest,
            "uploaded_blobs": self.uploaded_blobs,
            "steps": steps.done,
            "total_ms": milliseconds(steps.last, steps.began),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_add_up_to_the_total() {
        let mut steps = Steps::start();
        steps.end("pack");
        steps.end_with("build", &json!([{"name": "npm ci", "ms": 3}]));
        steps.end_with("release", &json!(7));
        let deployed = Deployed {
            app: "demo".into(),
            version: 3,
            url: None,
            slug_digest: Value::Null,
            uploaded_blobs: json!(2),
            announced: false,
        };
        let value = deployed.to_json(&steps);
        let names: Vec<_> =
            value["steps"].as_array().unwrap().iter().map(|s| s["name"].clone()).collect();
        assert_eq!(names, ["pack", "build", "release"]);
        assert_eq!(value["steps"][1]["steps"][0]["name"], "npm ci");
        assert!(value["steps"][2].get("steps").is_none());
        assert_eq!((&value["release"], &value["uploaded_blobs"]), (&json!("v3"), &json!(2)));
        let sum: f64 =
            value["steps"].as_array().unwrap().iter().filter_map(|s| s["ms"].as_f64()).sum();
        let total = value["total_ms"].as_f64().unwrap();
        assert!((sum - total).abs() < 0.5, "{sum} {total}: they differ by rounding only");
    }
}
