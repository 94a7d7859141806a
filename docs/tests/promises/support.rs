//! Reads the tree that this crate belongs to.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders of the repository that hold what people write.
pub(crate) const FOLDERS: [&str; 7] = ["codec", "macros", "engine", "services", "bench", "tools", "docs"];

/// Folders whose contents programs write.
const FOLDERS_WRITTEN: [&str; 4] = ["target", "book", "corpus", "artifacts"];

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR"));
    docs.parent().expect("docs/ lies in the repository").to_owned()
}

/// The text of a file; `path` is relative to the root.
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below a folder, relative to the root, in a fixed order. The folder may be missing.
pub(crate) fn files_below(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(&root().join(folder), &mut files);
    files.sort();
    let root = root();
    let relative = |file: PathBuf| file.strip_prefix(&root).map(Path::to_owned).unwrap_or(file);
    files.into_iter().map(relative).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a folder of the tree can be listed").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            if !FOLDERS_WRITTEN.contains(&name.as_str()) && !name.starts_with('.') {
                collect(&path, files);
            }
        } else {
            files.push(path);
        }
    }
}

/// Every Rust file of the tree, relative to the root.
pub(crate) fn rust_files() -> Vec<PathBuf> {
    let files = FOLDERS.iter().flat_map(|folder| files_below(folder));
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The README, the chapters and the other pages, relative to the root.
pub(crate) fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = ["README.md", "README.zh-CN.md", "CHANGELOG.md", "CONTRIBUTING.md"]
        .map(PathBuf::from)
        .to_vec();
    let chapters = files_below("docs").into_iter();
    pages.extend(chapters.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    pages
}

/// The fenced code blocks of a page: what stands behind the fence, and the text.
pub(crate) fn code_blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => open = Some((language.trim().to_owned(), String::new())),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a code block is not closed");
    blocks
}

/// The page without its code blocks.
pub(crate) fn prose(page: &str) -> String {
    let mut in_code = false;
    let mut prose = String::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

/// What stands between `start` and the next `end`; the text must have both.
pub(crate) fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, after) = text.split_once(start).unwrap_or_else(|| panic!("no \"{start}\""));
    let (inside, _) = after
        .split_once(end)
        .unwrap_or_else(|| panic!("no \"{end}\" behind \"{start}\""));
    inside
}

/// Every text in double quotes.
pub(crate) fn quoted(text: &str) -> Vec<&str> {
    text.split('"').skip(1).step_by(2).collect()
}
