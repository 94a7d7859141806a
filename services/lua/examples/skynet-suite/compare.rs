//! Compares two outputs without what differs in each run: addresses, times and tracebacks.

use crate::run::Output;
use crate::scripts::Script;

/// The result of a comparison.
pub(crate) enum Verdict {
    Same,
    /// The same lines in another order.
    OtherOrder,
    /// The lines that only one output has: `-` of Skynet, `+` of ours.
    Differs(Vec<String>),
}

/// Lines about the node that say nothing about the script.
const NODE_LINES: [&str; 3] = ["LAUNCH ", "KILL ", "the first service did not start"];

/// Removes the colours of a terminal.
fn without_colours(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    plain + rest
}

/// Removes the places in Skynet's library that its errors begin with: they are not the script's.
fn without_library_places(text: &str) -> String {
    let mut kept = text.to_owned();
    while let Some(at) = kept.find("/lualib/skynet.lua:") {
        let start = kept[..at].rfind([' ', '\t']).map_or(0, |space| space + 1);
        let after = at + "/lualib/skynet.lua:".len();
        let Some(end) = kept[after..].find(": ").filter(|length| {
            kept[after..after + length]
                .bytes()
                .all(|byte| byte.is_ascii_digit())
        }) else {
            break;
        };
        kept.replace_range(start..after + end + 2, "");
    }
    kept
}

/// The line without what differs in each run. `None`: it says nothing about the script.
fn normalise(line: &str, masks_numbers: bool) -> Option<String> {
    let line = &without_colours(line);
    let text = match line.strip_prefix("[:") {
        Some(rest) => rest.split_once("] ").map_or("", |(_, text)| text),
        None => line,
    };
    // Master writes it in front of warnings.
    let text = text.trim_end().trim_start_matches("error: ");
    if text.is_empty() || NODE_LINES.iter().any(|prefix| text.starts_with(prefix)) {
        return None;
    }
    // Tracebacks: their head and their indented lines.
    if text.starts_with("stack traceback") || line.starts_with([' ', '\t']) && looks_like_traceback(text) {
        return None;
    }
    let text = mask(&without_library_places(text));
    Some(if masks_numbers {
        without_numbers(&text)
    } else {
        text
    })
}

fn looks_like_traceback(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with("[C]:")
        || text.starts_with("...")
        || text.starts_with("(...tail calls")
        || text.contains(": in ")
        || text.starts_with("stack traceback")
}

/// Replaces every number, also hexadecimal ones.
fn without_numbers(text: &str) -> String {
    let mut masked = String::new();
    for word in text.split_inclusive(|character: char| !character.is_ascii_alphanumeric()) {
        let digits = word.trim_end_matches(|character: char| !character.is_ascii_alphanumeric());
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hex && digits.bytes().any(|byte| byte.is_ascii_digit()) {
            masked.push('#');
            masked.push_str(&word[digits.len()..]);
        } else {
            masked.push_str(word);
        }
    }
    masked
}

/// Replaces addresses, times and numbers with a fraction.
fn mask(text: &str) -> String {
    let mut masked = String::new();
    let mut word = String::new();
    for character in text.chars().chain(std::iter::once('\n')) {
        if character.is_ascii_alphanumeric() || character == '.' {
            word.push(character);
            continue;
        }
        masked.push_str(mask_word(&word));
        word.clear();
        if character != '\n' {
            masked.push(character);
        }
    }
    masked
}

fn mask_word(word: &str) -> &str {
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    if word.len() == 8 && is_hex(word) && has_digit {
        return "ADDRESS";
    }
    if word.strip_prefix("0x").is_some_and(is_hex) {
        return "POINTER";
    }
    // A clock in nanoseconds, or an address without its colon.
    if word.len() >= 9 && word.bytes().all(|byte| byte.is_ascii_digit()) {
        return "NUMBER";
    }
    if word.contains('.') && word.parse::<f64>().is_ok() {
        return "FRACTION";
    }
    word
}

/// Compares our output with Skynet's.
pub(crate) fn compare(ours: &Output, theirs: &Output, script: &Script) -> Verdict {
    let lines = |output: &Output| -> Vec<String> {
        let lines = output.text.lines();
        lines
            .filter_map(|line| normalise(line, script.masks_numbers))
            .collect()
    };
    let both_are_over_time = ours.is_over_time && theirs.is_over_time;
    let (mut ours, mut theirs) = (lines(ours), lines(theirs));
    // Scripts that do not end are compared as far as both came.
    if both_are_over_time {
        let length = ours.len().min(theirs.len());
        ours.truncate(length);
        theirs.truncate(length);
    }
    if script.repeats {
        for lines in [&mut ours, &mut theirs] {
            lines.sort();
            lines.dedup();
        }
    }
    if ours == theirs {
        return Verdict::Same;
    }
    let mut only_theirs = theirs;
    let mut only_ours = Vec::new();
    for line in ours {
        match only_theirs.iter().position(|other| *other == line) {
            Some(at) => {
                only_theirs.remove(at);
            }
            None => only_ours.push(line),
        }
    }
    if only_ours.is_empty() && only_theirs.is_empty() {
        return Verdict::OtherOrder;
    }
    let theirs = only_theirs.iter().map(|line| format!("- {line}"));
    let ours = only_ours.iter().map(|line| format!("+ {line}"));
    Verdict::Differs(theirs.chain(ours).collect())
}
