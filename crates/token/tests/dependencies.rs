//! Everybody who mints or verifies pulls these in, so the list is short and stays short.

const ALLOWED: [&str; 6] = ["base64", "hmac", "serde_json", "sha2", "subtle", "thiserror"];

#[test]
fn the_crate_depends_on_nothing_but_the_allowed() {
    let manifest = include_str!("../Cargo.toml");
    let section = manifest
        .split("\n[dependencies]\n")
        .nth(1)
        .and_then(|rest| rest.split("\n[").next())
        .expect("a section [dependencies]");
    let mut found: Vec<_> = section
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
        .map(|line| line.split(['.', '=', ' ']).next().unwrap_or_default())
        .collect();
    found.sort_unstable();
    assert_eq!(
        found, ALLOWED,
        "tertulia-token is pure and small: no runtime, no clock, no randomness. If a new \
         dependency is really needed, say why in Cargo.toml and add it to this list."
    );
}

#[test]
fn no_source_reads_the_clock() {
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let mut folders = vec![std::path::PathBuf::from(sources)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("src can be listed") {
            let path = entry.expect("src can be listed").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("sources are text");
            for word in ["SystemTime", "Instant", "std::fs", "std::net", "std::env", "async fn"] {
                assert!(!text.contains(word), "{} has {word}", path.display());
            }
        }
    }
}
