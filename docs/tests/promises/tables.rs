//! The tables of the reference name everything there is: error codes, config keys, bounds, counters, kinds.

use std::path::Path;

use crate::support::{between, files_below, quoted, read};

/// The rows of a page's tables.
fn rows(page: &str) -> Vec<&str> {
    page.lines().filter(|line| line.starts_with('|')).collect()
}

/// Whether a row's first cell is `name` as code.
fn is_row_of(row: &str, name: &str) -> bool {
    row.trim_start_matches('|')
        .trim_start()
        .starts_with(&format!("`{name}`"))
}

#[test]
fn every_error_code_is_explained() {
    let source = read("engine/src/error.rs");
    let codes = quoted(between(&source, "pub fn code(", "\n    }\n"));
    assert!(codes.len() >= 14, "{codes:?}");
    let page = read("docs/chapters/errors.md");
    for code in codes {
        assert!(
            rows(&page).iter().any(|row| is_row_of(row, code)),
            "errors.md lacks {code}"
        );
    }
}

#[test]
fn every_config_key_is_explained() {
    let source = read("engine/src/config/known.rs");
    let keys = quoted(between(&source, "const NODE_KEYS", "];"));
    assert!(keys.len() >= 21, "{keys:?}");
    let page = read("docs/chapters/configuration.md");
    for key in keys {
        assert!(
            rows(&page).iter().any(|row| is_row_of(row, key)),
            "configuration.md lacks {key}"
        );
    }
}

#[test]
fn every_counter_is_explained() {
    let page = read("docs/chapters/operating.md");
    for (counter, _) in skyring::Metrics::default().all() {
        assert!(
            rows(&page).iter().any(|row| is_row_of(row, counter)),
            "operating.md lacks {counter}"
        );
    }
}

#[test]
fn every_service_kind_is_explained() {
    let page = read("docs/chapters/services.md");
    for kind in skyring_services::kinds().names() {
        assert!(
            rows(&page).iter().any(|row| is_row_of(row, kind)),
            "services.md lacks {kind}"
        );
    }
}

/// The named bounds of a file: name and value, as the code writes them, outside its tests.
fn bounds(path: &Path) -> Vec<(String, String)> {
    let source = read(path);
    let code = source.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
    let mut bounds = Vec::new();
    for statement in code.split("const ").skip(1) {
        let Some((name, rest)) = statement.split_once(": ") else {
            continue;
        };
        let Some((_, value)) = rest.split_once(" = ") else {
            continue;
        };
        let Some((value, _)) = value.split_once(';') else {
            continue;
        };
        let is_name = name
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        if is_name && name.split('_').any(|word| word == "MAX") {
            bounds.push((name.to_owned(), value.to_owned()));
        }
    }
    bounds
}

#[test]
fn every_named_bound_is_in_the_limits_with_the_value_that_the_code_has() {
    let page = read("docs/chapters/limits.md");
    let (mut counted, mut lacking) = (0, Vec::new());
    for folder in ["codec/src", "engine/src", "services/src", "services/lua/src"] {
        for path in files_below(folder) {
            for (name, value) in bounds(&path) {
                let found = rows(&page)
                    .iter()
                    .any(|row| is_row_of(row, &name) && row.contains(&format!("| `{value}` |")));
                if !found {
                    lacking.push(format!("{name} = {value} of {}", path.display()));
                }
                counted += 1;
            }
        }
    }
    assert!(lacking.is_empty(), "limits.md lacks:\n{}", lacking.join("\n"));
    assert!(counted > 50, "only {counted} bounds were found");
}
