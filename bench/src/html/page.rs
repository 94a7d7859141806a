//! The frame of a page, and text in it.

/// The style sheet of all pages, for light and dark screens.
const STYLE: &str = include_str!("style.css");

/// The beginning of a page, up to its first element.
pub(crate) fn head(title: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style></head><body><main>\n"
    )
}

/// A text without markup.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
