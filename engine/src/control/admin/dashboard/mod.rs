//! The dashboard: one page for a browser, which asks this server for the status of the node every second.
//!
//! Invariants: the page needs nothing from elsewhere, its policy lets only its own script and style work, by their hashes, and it
//! may reach only this server. What nodes and services are called is set as text, never as markup.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("style.css");

const SCRIPT: &str = concat!(
    "\"use strict\";\n",
    include_str!("figures.js"),
    include_str!("elements.js"),
    include_str!("flame_graph.js"),
    include_str!("page.js"),
);

const BODY: &str = include_str!("page.html");

/// The page.
pub(super) static PAGE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Skyring</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>{STYLE}</style>\n</head>\n<body>\n{BODY}<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )
});

/// What the page may do.
pub(super) static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        source(SCRIPT),
        source(STYLE),
    )
});

/// The source expression that stands for exactly this text.
fn source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::DURATION_BOUNDS_US;

    #[test]
    fn the_page_is_whole_and_names_nothing_of_elsewhere() {
        for part in [
            "https://",
            "<script src",
            "<link rel=\"stylesheet\"",
            "@import",
            "innerHTML",
            "style=",
        ] {
            assert!(!PAGE.contains(part), "{part}");
        }
        // Only the name of a format.
        assert_eq!(
            PAGE.matches("http://").count(),
            PAGE.matches("http://www.w3.org/2000/svg").count()
        );
        assert!(!SCRIPT.contains("</script") && !STYLE.contains("</style"));
    }

    #[test]
    fn the_policy_allows_no_other_script() {
        assert!(!POLICY.contains("inline") && !POLICY.contains("eval"));
        assert!(POLICY.contains("script-src 'sha256-") && POLICY.starts_with("default-src 'none'"));
    }

    #[test]
    fn the_page_knows_the_ranges_of_histograms() {
        let bounds = DURATION_BOUNDS_US.map(|bound| bound.to_string()).join(", ");
        assert!(SCRIPT.contains(&bounds), "{bounds}");
    }
}
