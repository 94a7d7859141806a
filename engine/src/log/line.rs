//! The format of a log line: the logging thread cuts it to a bound, the log thread escapes it.

use std::fmt::{self, Write as _};

use super::time::Stamp;

/// The longest text of a line, in bytes; the rest is cut.
pub const LINE_BYTES_MAX: usize = 4096;

/// The prefix of the further lines of a text.
const CONTINUATION: &str = "    ";

/// The text, cut to [`LINE_BYTES_MAX`] bytes, with a mark at the cut. Never holds more than that in memory, however
/// long the text is.
pub(super) fn cut(text: impl fmt::Display) -> String {
    let mut bounded = Bounded {
        text: String::new(),
        bytes_cut: 0,
    };
    // A text whose formatting fails is logged up to the failure.
    let _ = write!(bounded, "{text}");
    if bounded.bytes_cut > 0 {
        let _ = write!(bounded.text, " ...[{} bytes cut]", bounded.bytes_cut);
    }
    bounded.text
}

/// The same for a text in any encoding.
pub(super) fn cut_bytes(text: &[u8]) -> Vec<u8> {
    if let Ok(text) = str::from_utf8(text) {
        return cut(text).into_bytes();
    }
    let (head, tail) = text.split_at(text.len().min(LINE_BYTES_MAX));
    let mut bounded = head.to_vec();
    if !tail.is_empty() {
        bounded.extend_from_slice(format!(" ...[{} bytes cut]", tail.len()).as_bytes());
    }
    bounded
}

struct Bounded {
    text: String,
    bytes_cut: usize,
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        // After a cut nothing may follow, even if it would fit.
        let space = if self.bytes_cut > 0 {
            0
        } else {
            LINE_BYTES_MAX - self.text.len()
        };
        let end = piece.floor_char_boundary(space);
        let (head, tail) = piece.split_at(end);
        self.text.push_str(head);
        self.bytes_cut += tail.len();
        Ok(())
    }
}

/// Appends a line in its final form, with its newline. `at_ms` is its time, in milliseconds since 1970.
pub(super) fn append(buffer: &mut Vec<u8>, stamp: Stamp, at_ms: u64, source: u32, text: &[u8]) {
    stamp.append(buffer, at_ms);
    buffer.extend_from_slice(format!("[:{source:08x}] ").as_bytes());
    let end = text.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r'));
    let text = &text[..end.map_or(0, |last| last + 1)];
    for (number, part) in text.split(|byte| *byte == b'\n').enumerate() {
        if number > 0 {
            buffer.push(b'\n');
            buffer.extend_from_slice(CONTINUATION.as_bytes());
        }
        append_escaped(buffer, part.strip_suffix(b"\r").unwrap_or(part));
    }
    buffer.push(b'\n');
}

/// Appends a part of a text without newlines. Text in another encoding than UTF-8 stays as it is, but for control
/// characters of ASCII.
fn append_escaped(buffer: &mut Vec<u8>, part: &[u8]) {
    let mut escape = |character: char, bytes: &[u8]| {
        if is_hidden(character) {
            buffer.extend(character.escape_default().map(|escaped| escaped as u8));
        } else {
            buffer.extend_from_slice(bytes);
        }
    };
    match str::from_utf8(part) {
        Ok(text) => {
            for character in text.chars() {
                escape(character, character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        Err(_) => {
            for byte in part {
                // A byte of another encoding is no character that hides.
                let character = if byte.is_ascii() { char::from(*byte) } else { ' ' };
                escape(character, &[*byte]);
            }
        }
    }
}

/// Characters that a terminal or an editor interprets instead of showing: control characters but the tab, the Unicode
/// line and paragraph separators, and the marks that reverse the direction of writing.
fn is_hidden(character: char) -> bool {
    (character.is_control() && character != '\t')
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(source: u32, text: &str) -> String {
        let mut buffer = Vec::new();
        append(&mut buffer, Stamp::None, 0, source, text.as_bytes());
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn text_in_another_encoding_stays_as_it_is_and_is_cut_at_the_limit() {
        let mut buffer = Vec::new();
        append(
            &mut buffer,
            Stamp::None,
            0,
            1,
            b"\xc4\xe3\xba\xc3 \x1b\xc2\x80\xff\n",
        );
        assert_eq!(buffer, b"[:00000001] \xc4\xe3\xba\xc3 \\u{1b}\xc2\x80\xff\n");
        let long = [0xc4; LINE_BYTES_MAX + 3];
        let cut = cut_bytes(&long);
        assert_eq!(cut.strip_prefix(&long[3..]), Some(&b" ...[3 bytes cut]"[..]));
    }

    #[test]
    fn a_line_is_the_handle_in_hex_and_the_text() {
        assert_eq!(
            line(8, "Database node ready"),
            "[:00000008] Database node ready\n"
        );
        assert_eq!(line(0xffff_fffe, "网关\t就绪"), "[:fffffffe] 网关\t就绪\n");
        assert_eq!(line(0, ""), "[:00000000] \n");
    }

    #[test]
    fn further_lines_of_a_text_are_indented_so_that_no_line_can_be_forged() {
        assert_eq!(
            line(1, "a\n[:00000002] b\n\nc\n\n"),
            "[:00000001] a\n    [:00000002] b\n    \n    c\n"
        );
        assert_eq!(line(1, "a\r\nb\r\n"), "[:00000001] a\n    b\n");
        assert_eq!(line(1, "a\r[:00000002] b"), "[:00000001] a\\r[:00000002] b\n");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(line(1, "\x1b[2J\0\x7f"), "[:00000001] \\u{1b}[2J\\u{0}\\u{7f}\n");
        assert_eq!(
            line(1, "\u{85}\u{2028}\u{202e}"),
            "[:00000001] \\u{85}\\u{2028}\\u{202e}\n"
        );
    }

    #[test]
    fn a_text_is_cut_at_the_limit_and_the_mark_counts_the_rest() {
        let exact = "x".repeat(LINE_BYTES_MAX);
        assert_eq!(cut(&exact), exact);
        assert_eq!(
            cut(format_args!("{exact}yz")),
            format!("{exact} ...[2 bytes cut]")
        );
        let pieces = format_args!("{}{}{}", &exact[1..], "长", "y").to_string();
        assert_eq!(cut(&pieces), format!("{} ...[4 bytes cut]", &exact[1..]));
    }

    #[test]
    fn nothing_follows_a_cut_even_if_it_would_fit() {
        let long = "长".repeat(LINE_BYTES_MAX / 3 + 1);
        assert_eq!(
            cut(format_args!("{long}{}", "y")),
            format!("{} ...[4 bytes cut]", "长".repeat(LINE_BYTES_MAX / 3))
        );
    }
}
