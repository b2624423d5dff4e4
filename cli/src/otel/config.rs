//! OpenTelemetry's environment variables
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>), those that say
//! whether and what is traced. Endpoint, headers and attributes are read by the library itself.

use opentelemetry::trace::{SpanKind, TraceId};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample as _};

const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
/// The one protocol that is built in.
const PROTOCOL: &str = "http/protobuf";

/// What the environment asks for.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) sampling: Sampling,
    /// The environment has a name for this service.
    pub(super) service_is_named: bool,
}

impl Config {
    /// `None` when nothing is to be traced. `variable` reads a variable.
    pub(super) fn new(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<Self>> {
        // The specification takes an empty variable for one that is not set.
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let disabled = variable("OTEL_SDK_DISABLED");
        if disabled.is_some_and(|disabled| disabled.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        match variable("OTEL_TRACES_EXPORTER").as_deref() {
            None | Some("otlp") => {}
            Some("none") => return Ok(None),
            Some(other) => {
                anyhow::bail!("OTEL_TRACES_EXPORTER={other}: only otlp and none are known")
            }
        }
        if ENDPOINTS.iter().all(|name| variable(name).is_none()) {
            return Ok(None);
        }
        for name in PROTOCOLS {
            match variable(name) {
                Some(protocol) if protocol != PROTOCOL => {
                    anyhow::bail!("{name}={protocol}: only {PROTOCOL} is spoken");
                }
                _ => {}
            }
        }
        let attributes = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        let mut names = attributes.split(',').filter_map(|pair| pair.split('=').next());
        let service_is_named = variable("OTEL_SERVICE_NAME").is_some()
            || names.any(|name| name.trim() == "service.name");
        let sampling = Sampling::new(
            variable("OTEL_TRACES_SAMPLER").as_deref(),
            variable("OTEL_TRACES_SAMPLER_ARG").as_deref(),
        )?;
        Ok(Some(Self { sampling, service_is_named }))
    }
}

/// Which requests are recorded.
#[derive(Debug)]
pub(super) struct Sampling {
    /// Whether a parent's decision is followed.
    parent_based: bool,
    /// What decides otherwise.
    root: Sampler,
}

impl Sampling {
    fn new(name: Option<&str>, argument: Option<&str>) -> anyhow::Result<Self> {
        let name = name.unwrap_or("parentbased_always_on");
        let (parent_based, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name),
        };
        let root = match root {
            "always_on" => Sampler::AlwaysOn,
            "always_off" => Sampler::AlwaysOff,
            "traceidratio" => Sampler::TraceIdRatioBased(ratio(argument)?),
            _ => anyhow::bail!(
                "OTEL_TRACES_SAMPLER={name} is not known; see Traces in docs/operating.md"
            ),
        };
        Ok(Self { parent_based, root })
    }

    /// Whether a request of this trace is recorded, given what its parent decided.
    pub(super) fn decide(&self, trace: TraceId, parent: Option<bool>) -> bool {
        match parent {
            Some(parent) if self.parent_based => parent,
            _ => {
                let kind = SpanKind::Server;
                let result = self.root.should_sample(None, trace, "", &kind, &[], &[]);
                result.decision == SamplingDecision::RecordAndSample
            }
        }
    }
}

fn ratio(argument: Option<&str>) -> anyhow::Result<f64> {
    let Some(argument) = argument else { return Ok(1.0) };
    match argument.trim().parse::<f64>() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => anyhow::bail!("OTEL_TRACES_SAMPLER_ARG={argument} is not a number from 0 to 1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> anyhow::Result<Option<Config>> {
        let find = |name: &str| variables.iter().find(|(found, _)| *found == name);
        Config::new(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");

    #[test]
    fn nothing_is_traced_unless_there_is_an_endpoint() {
        for variables in [
            &[] as &[_],
            &[("OTEL_SERVICE_NAME", "x")],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
            &[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")],
            &[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")],
        ] {
            assert!(config(variables).unwrap().is_none(), "{variables:?}");
        }
        let named = ("OTEL_RESOURCE_ATTRIBUTES", "a=b, service.name=shop");
        assert!(!config(&[ENDPOINT]).unwrap().unwrap().service_is_named);
        assert!(config(&[ENDPOINT, named]).unwrap().unwrap().service_is_named);
    }

    #[test]
    fn what_cannot_be_done_is_refused_at_the_start() {
        for wrong in [
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ] {
            let error = config(&[ENDPOINT, wrong]).unwrap_err().to_string();
            assert!(error.contains(wrong.0) && error.contains(wrong.1), "{error}");
        }
        for ratio in ["1.5", "-0.1", "half", "NaN"] {
            let sampler = ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio");
            assert!(config(&[ENDPOINT, sampler, ("OTEL_TRACES_SAMPLER_ARG", ratio)]).is_err());
        }
    }

    #[test]
    fn parents_decide_unless_the_sampler_says_otherwise() {
        let low = TraceId::from_bytes([0; 16]);
        let high = TraceId::from_bytes([0xff; 16]);
        for (name, argument, expected) in [
            // A parent that records, one that does not, none with a low and with a high id.
            (None, None, [true, false, true, true]),
            (Some("parentbased_always_off"), None, [true, false, false, false]),
            (Some("parentbased_traceidratio"), Some("0.5"), [true, false, true, false]),
            (Some("traceidratio"), Some("0.5"), [false, true, true, false]),
            (Some("traceidratio"), None, [true, true, true, true]),
            (Some("always_off"), None, [false, false, false, false]),
        ] {
            let sampling = Sampling::new(name, argument).unwrap();
            let asked = [(high, Some(true)), (low, Some(false)), (low, None), (high, None)];
            let decided = asked.map(|(trace, parent)| sampling.decide(trace, parent));
            assert_eq!(decided, expected, "{name:?}");
        }
    }
}
