//! Heroku's schema, made strict: every property required, none extra.
//!
//! Allowed to differ: `git_url` and `web_url` name Heroku's own domains in their patterns, and `hostname` says
//! `format: uri` although its own example is a bare host name.

use std::{collections::HashMap, sync::LazyLock};

use jsonschema::{Draft, Validator};
use parking_lot::Mutex;
use serde_json::{Value, json};

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../../tests/fixtures/heroku-platform-api-schema.json");
    let mut schema: Value = serde_json::from_str(text).unwrap();
    let mut definitions = schema["definitions"].take();
    for definition in definitions.as_object_mut().unwrap().values_mut() {
        let definition = definition.as_object_mut().unwrap();
        // Links hold request schemas; an `id` would move the base that references are resolved against.
        definition.remove("links");
        definition.remove("id");
        definition.remove("$schema");
    }
    strict(&mut definitions);
    definitions
});

fn strict(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, inner) in object.iter_mut() {
                if (name == "git_url" || name == "web_url") && inner.get("pattern").is_some() {
                    inner.as_object_mut().unwrap().remove("pattern");
                }
                if name == "hostname" && inner.get("format").is_some() {
                    inner.as_object_mut().unwrap().remove("format");
                }
                strict(inner);
            }
            // A map of subschemas, not a property that happens to be called so.
            let properties = object.get("properties").and_then(Value::as_object);
            if let Some(names) = properties.map(|all| all.keys().cloned().collect::<Vec<_>>()) {
                // Draft 4 does not allow an empty list.
                object.remove("required");
                if !names.is_empty() {
                    object.insert("required".into(), json!(names));
                }
                object.insert("additionalProperties".into(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(strict),
        _ => {}
    }
}

/// `app`, `[app]`, or one of our own: `error`, `config-vars`, `empty`, `any`.
pub(super) fn check(shape: &str, value: &Value) {
    static VALIDATORS: LazyLock<Mutex<HashMap<String, std::sync::Arc<Validator>>>> =
        LazyLock::new(Mutex::default);
    let validator = VALIDATORS
        .lock()
        .entry(shape.to_owned())
        .or_insert_with(|| std::sync::Arc::new(build(shape)))
        .clone();
    let faults: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(faults.is_empty(), "not a {shape}: {faults:#?}\n{value:#}");
}

fn build(shape: &str) -> Validator {
    let schema = match shape {
        "any" => json!({}),
        "empty" => json!({"type": "object", "additionalProperties": false}),
        "error" => json!({
            "type": "object",
            "required": ["id", "message"],
            "properties": {
                "id": {"type": "string", "pattern": "^[a-z_]+$"},
                "message": {"type": "string", "minLength": 1},
                "resource": {"type": "string"},
                "url": {"type": "string"},
            },
            "additionalProperties": false,
        }),
        "config-vars" => {
            json!({"$ref": "#/definitions/config-var/definitions/config_vars"})
        }
        list if list.starts_with('[') => {
            let of = list.trim_matches(['[', ']']);
            assert!(SCHEMA.pointer(&format!("/{of}")).is_some(), "{of}");
            json!({"type": "array", "items": {"$ref": format!("#/definitions/{of}")}})
        }
        of => {
            assert!(SCHEMA.pointer(&format!("/{of}")).is_some(), "{of}");
            json!({"$ref": format!("#/definitions/{of}")})
        }
    };
    let mut schema = schema;
    schema["definitions"] = SCHEMA.clone();
    jsonschema::options()
        .with_draft(Draft::Draft4)
        .should_validate_formats(true)
        // Not one of draft 4's own.
        .with_format("uuid", |text: &str| text.parse::<uuid::Uuid>().is_ok())
        .build(&schema)
        .unwrap()
}

#[test]
fn the_schema_is_strict() {
    let validator = build("stack");
    let good = json!({
        "created_at": "2026-11-21T00:00:00Z", "default": true, "name": "x", "state": "public",
        "id": "00000000-0000-4000-8000-000000000000", "updated_at": "2026-11-21T00:00:00Z",
    });
    assert!(validator.is_valid(&good));
    for (name, value) in [("extra", json!(1)), ("id", json!("x")), ("created_at", json!("today"))] {
        let mut bad = good.clone();
        bad[name] = value;
        assert!(!validator.is_valid(&bad), "{name}");
    }
    let mut bad = good;
    bad.as_object_mut().unwrap().remove("state");
    assert!(!validator.is_valid(&bad));
}
