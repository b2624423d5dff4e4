//! What the platform sends to nodes and nodes send back, as JSON.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wpaas_slug::{
    feed::{Change, DynoStatus, Snapshot},
    log::LogLine,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(change) = serde_json::from_slice::<Change>(bytes) {
        let text = serde_json::to_vec(&change).unwrap();
        assert_eq!(serde_json::from_slice::<Change>(&text).unwrap(), change);
    }
    if let Ok(snapshot) = serde_json::from_slice::<Snapshot>(bytes) {
        let text = serde_json::to_vec(&snapshot).unwrap();
        assert_eq!(serde_json::from_slice::<Snapshot>(&text).unwrap().apps, snapshot.apps);
    }
    if let Ok(line) = serde_json::from_slice::<LogLine>(bytes) {
        let text = serde_json::to_vec(&line).unwrap();
        assert_eq!(serde_json::from_slice::<LogLine>(&text).unwrap(), line);
        assert!(line.render().ends_with(&line.text));
    }
    if let Ok(dyno) = serde_json::from_slice::<DynoStatus>(bytes) {
        let text = serde_json::to_vec(&dyno).unwrap();
        assert_eq!(serde_json::from_slice::<DynoStatus>(&text).unwrap(), dyno);
    }
});
