//! The chapters about the code name only files and functions that exist.

use crate::support::{FOLDERS, files_below, prose, read};

/// The chapters that lead through the code.
const CHAPTERS: [&str; 2] = ["docs/chapters/a-call.md", "docs/chapters/architecture.md"];

/// The text of every source file, with its path.
fn sources() -> Vec<(String, String)> {
    let files = FOLDERS.iter().flat_map(|folder| files_below(folder));
    let sources = files.filter(|path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("rs" | "lua"))
    });
    sources
        .map(|path| (format!("/{}", path.display()), read(&path)))
        .collect()
}

/// The words of a chapter that may be paths or names of code.
fn words(page: &str) -> impl Iterator<Item = &str> {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':' | '.' | '/');
    page.split(move |c| !is_of_word(c))
        .map(|word| word.trim_matches(['.', ':', '/', '-']))
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether `name` stands in `text` as a whole word.
fn has_word(text: &str, name: &str) -> bool {
    text.contains(name) && text.split(|c| !is_of_name(c)).any(|word| word == name)
}

#[test]
fn every_file_that_the_chapters_about_the_code_name_exists() {
    let sources = sources();
    let mut checked = 0;
    for chapter in CHAPTERS {
        for word in words(&read(chapter)) {
            if word.ends_with(".rs") || word.ends_with(".lua") {
                let found = sources
                    .iter()
                    .any(|(path, _)| path.ends_with(&format!("/{word}")));
                assert!(found, "{chapter}: there is no file {word}");
                checked += 1;
            }
        }
    }
    assert!(checked > 20, "only {checked} files are named");
}

#[test]
fn every_function_that_the_chapters_about_the_code_name_exists() {
    let sources = sources();
    let (mut checked, mut missing) = (0, Vec::new());
    for chapter in CHAPTERS {
        for word in words(&read(chapter)) {
            let Some((owner, name)) = word.rsplit_once("::") else {
                continue;
            };
            // A path may begin with crates and modules; what owns the function is its last part but one.
            let owner = owner.rsplit("::").next().unwrap_or(owner);
            let (function, variants) = (format!("fn {name}"), format!("enum {owner} "));
            let found = sources.iter().any(|(_, text)| {
                let has_function = text.match_indices(&function).any(|(at, _)| {
                    let next = text[at + function.len()..].chars().next();
                    matches!(next, Some('(' | '<'))
                });
                (has_function && has_word(text, owner))
                    || (text.contains(&variants) && has_word(text, name))
                    || text.contains(&format!("mod {name}"))
            });
            if !found {
                missing.push(format!("{chapter}: there is no {word}"));
            }
            checked += 1;
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(checked > 40, "only {checked} functions are named");
}

#[test]
fn every_other_name_of_code_on_the_way_of_a_call_exists() {
    let sources = sources();
    let (mut checked, mut missing) = (0, Vec::new());
    for code in prose(&read(CHAPTERS[0])).split('`').skip(1).step_by(2) {
        if code.chars().all(is_of_name) {
            let found = sources.iter().any(|(_, text)| has_word(text, code));
            if !found {
                missing.push(format!("{}: there is no {code}", CHAPTERS[0]));
            }
            checked += 1;
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(checked > 20, "only {checked} names are checked");
}
