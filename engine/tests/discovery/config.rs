//! Mistakes in `discovery`, each named with its file, key and value.

use skyring::config::NodeConfig;

use crate::support::Folder;

#[test]
fn a_mistake_is_named_with_file_key_and_value() {
    let folder = Folder::new();
    folder.write("map.lua", "db = '127.0.0.1:7101'");
    let cases = [
        (
            "discovery = true",
            "discovery: expected a table, as in { watch = true }, found true",
        ),
        (
            "cluster = 'map.lua' discovery = { watch = 'yes' }",
            "discovery.watch: expected true or false, found \"yes\"",
        ),
        (
            "cluster = 'map.lua' discovery = { watched = true }",
            "discovery.watched: not known",
        ),
        (
            "discovery = { watch = true }",
            "discovery.watch: needs a cluster map; add cluster = \"FILE\"",
        ),
    ];
    for (text, expected) in cases {
        folder.write("config", text);
        let file = folder.path("config");
        let error = NodeConfig::load(&file).expect_err(text).to_string();
        let expected = format!("{}: {expected}", file.display());
        assert!(error.starts_with(&expected), "{text}: {error}");
    }
}

#[test]
fn a_misspelt_discovery_is_asked_about() {
    let folder = Folder::new();
    folder.write("config", "discovry = 'watch'");
    let config = NodeConfig::load(&folder.path("config")).expect("it is kept for getenv");
    assert!(
        config
            .notices
            .iter()
            .any(|notice| notice.contains("meant to be discovery"))
    );
}
