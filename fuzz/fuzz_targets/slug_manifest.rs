//! A slug's documents, as an upload brings them. A zero byte separates manifest and config; without one it is a
//! config alone.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wpaas_slug::{Limits, Slug, SlugConfig};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    let at = bytes.iter().position(|byte| *byte == 0);
    if let Some((manifest, config)) = at.and_then(|at| bytes.split_at_checked(at)) {
        let config = &config[1..];
        let _ = Slug::config_digest(manifest);
        if let Ok(slug) = Slug::parse(manifest.to_vec(), config.to_vec(), &limits) {
            assert_eq!((&slug.manifest[..], &slug.config_document[..]), (manifest, config));
        }
        return;
    }
    let Ok(config) = serde_json::from_slice::<SlugConfig>(bytes) else { return };
    let Ok(slug) = Slug::new(config, &limits) else { return };
    let parsed = Slug::parse(slug.manifest.clone(), slug.config_document.clone(), &limits);
    assert_eq!(parsed.expect("what is written can be read"), slug);
    assert!(slug.config.size() <= limits.slug_bytes);
});
