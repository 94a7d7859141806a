//! Links lead somewhere.

use std::path::Path;

use crate::support::{pages, prose, read, root};

/// The targets of the links of a page.
fn targets(page: &str) -> Vec<String> {
    let prose = prose(page);
    let inline = prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    inline.map(str::to_owned).collect()
}

/// The anchor that a heading gets: lower case, spaces to hyphens, other marks dropped.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-' || *c == '_');
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_relative_link_points_to_a_file_and_a_heading_that_exist() {
    let mut checked = 0;
    for page in pages() {
        let text = read(&page);
        for target in targets(&text) {
            if target.contains("://") {
                continue;
            }
            let (file, fragment) = target.split_once('#').unwrap_or((&target, ""));
            let linked = if file.is_empty() {
                page.clone()
            } else {
                page.parent().unwrap_or(Path::new("")).join(file)
            };
            assert!(root().join(&linked).exists(), "{}: no {target}", page.display());
            if !fragment.is_empty() {
                let found = prose(&read(&linked))
                    .lines()
                    .any(|line| line.starts_with('#') && anchor(line) == fragment);
                assert!(found, "{}: no heading for {target}", page.display());
            }
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} links were found");
}
