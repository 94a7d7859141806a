//! The book is whole: its summary, its files and its documentation tests name the same chapters.

use std::collections::BTreeSet;

use crate::support::{code_blocks, files_below, pages, read};

/// The files that the summary links to.
fn chapters_in_summary() -> BTreeSet<String> {
    let summary = read("docs/chapters/SUMMARY.md");
    let links = summary.lines().filter_map(|line| {
        let (_, target) = line.split_once("](")?;
        target.split_once(')').map(|(file, _)| file.to_owned())
    });
    links.collect()
}

#[test]
fn every_chapter_of_the_summary_exists_and_every_chapter_is_in_the_summary() {
    let files: BTreeSet<String> = files_below("docs/chapters")
        .iter()
        .filter_map(|path| Some(path.strip_prefix("docs/chapters").ok()?.display().to_string()))
        // A chapter may have pictures beside it.
        .filter(|name| name.ends_with(".md") && name != "SUMMARY.md")
        .collect();
    assert!(!files.is_empty());
    assert_eq!(chapters_in_summary(), files);
}

#[test]
fn the_snippets_of_every_chapter_are_compiled() {
    let tested = read("docs/src/lib.rs");
    for chapter in chapters_in_summary() {
        assert!(
            tested.contains(&format!("chapters/{chapter}\"")),
            "docs/src/lib.rs lacks {chapter}"
        );
    }
}

#[test]
fn every_code_block_says_what_it_is_and_no_rust_is_left_out_of_the_tests() {
    for page in pages() {
        for (language, text) in code_blocks(&read(&page)) {
            assert!(
                !language.is_empty(),
                "{}: a code block without a language:\n{text}",
                page.display()
            );
            let is_checked = !language.contains("ignore") && !language.contains("compile_fail");
            assert!(is_checked, "{}: {language}", page.display());
        }
    }
}
