//! A name for an app whose user gave none.

use std::path::Path;

/// Heroku's longest name.
const LONGEST: usize = 30;
/// And its shortest.
const SHORTEST: usize = 3;
/// Characters of a suffix that makes a name free.
const SUFFIX: usize = 5;

/// The directory's name as an app's name: `My App_2` gives `my-app-2`. Nothing when too little is left.
pub(super) fn of_directory(directory: &Path) -> Option<String> {
    let name = directory.file_name()?.to_string_lossy();
    let mut clean = String::new();
    for c in name.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            'a'..='z' => clean.push(c),
            '0'..='9' if !clean.is_empty() => clean.push(c),
            // A name begins with a letter and has no two dashes in a row.
            _ if !clean.is_empty() && !clean.ends_with('-') => clean.push('-'),
            _ => {}
        }
    }
    let name = cut(&clean, LONGEST);
    (name.len() >= SHORTEST).then(|| name.to_owned())
}

/// The name with a random ending, for when it is taken.
pub(super) fn with_suffix(name: &str) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    let suffix: String = random.chars().take(SUFFIX).collect();
    format!("{}-{suffix}", cut(name, LONGEST - SUFFIX - 1))
}

/// The beginning of an ASCII name, not ending in a dash.
fn cut(name: &str, longest: usize) -> &str {
    name.get(..longest).unwrap_or(name).trim_end_matches('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid(name: &str) -> bool {
        let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        (SHORTEST..=LONGEST).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && !name.ends_with('-')
            && name.bytes().all(word)
    }

    #[test]
    fn names_of_directories_become_names_of_apps() {
        for (directory, name) in [
            ("/srv/node-express", "node-express"),
            ("My App_2", "my-app-2"),
            ("3-tier--demo-", "tier-demo"),
            ("Größe", "gr-e"),
            ("x.y.z", "x-y-z"),
        ] {
            assert_eq!(of_directory(Path::new(directory)).as_deref(), Some(name), "{directory}");
            assert!(valid(name), "{name}");
        }
        for nothing in ["/", "..", "ab", "123", "日本語", "--"] {
            assert_eq!(of_directory(Path::new(nothing)), None, "{nothing}");
        }
    }

    #[test]
    fn long_names_are_cut_and_suffixes_fit() {
        let long = "a".repeat(29) + "-" + &"b".repeat(20);
        let name = of_directory(Path::new(&long)).unwrap();
        assert_eq!(name, "a".repeat(29), "no dash at the end");
        for name in [name.as_str(), "abc", &("a".repeat(23) + "-bcdefg")] {
            let (one, other) = (with_suffix(name), with_suffix(name));
            assert!(valid(&one) && valid(&other) && one != other, "{one} {other}");
        }
    }
}
