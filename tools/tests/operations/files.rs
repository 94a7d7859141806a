//! The files of `docs/operations`.

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR"));
    tools.parent().expect("tools/ lies in the repository").to_owned()
}

/// The text of a file below `docs/operations`.
pub(crate) fn read(name: &str) -> String {
    let path = root().join("docs/operations").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
