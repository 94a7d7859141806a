//! Configs and maps that the documentation shows are read by the engine as what they claim to be.

use std::fs;

use skyring::config::check;

use crate::support::{code_blocks, files_below, pages, read, root};

/// The first line of a Lua block that is a whole file names it: `-- file: config_db`.
const FILE_MARK: &str = "-- file: ";

#[test]
fn every_file_of_the_examples_is_a_valid_config_or_map() {
    let examples: Vec<_> = files_below("docs/examples")
        .into_iter()
        .filter(|path| path.extension().is_none_or(|extension| extension == "lua"))
        // Services in Lua are programs.
        .filter(|path| !path.iter().any(|folder| folder == "service"))
        // These need the secret that their start script makes.
        .filter(|path| !path.iter().any(|folder| folder == "secure-cluster"))
        .collect();
    assert!(!examples.is_empty());
    // Their paths are those of whoever runs them from the root. No other test uses relative ones.
    std::env::set_current_dir(root()).expect("the root is a folder");
    for example in examples {
        let checked = check(&root().join(&example));
        assert!(checked.is_ok(), "{}: {}", example.display(), checked.unwrap_err());
    }
}

#[test]
fn every_config_and_map_on_a_page_is_valid() {
    let mut checked = 0;
    for page in pages() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Vec::new();
        for (language, text) in code_blocks(&read(&page)) {
            let name = text.lines().next().and_then(|line| line.strip_prefix(FILE_MARK));
            if let (Some("lua"), Some(name)) = (language.split(',').next(), name) {
                let file = folder.path().join(name.trim());
                assert!(!file.exists(), "{}: {name} twice", page.display());
                fs::write(&file, &text).unwrap();
                files.push(file);
            }
        }
        for file in files {
            let result = check(&file);
            assert!(result.is_ok(), "{}: {}", page.display(), result.unwrap_err());
            checked += 1;
        }
    }
    assert!(checked > 2, "only {checked} files were found");
}
