//! The forms in which a line is written.

use serde_json::json;

use super::line;
use super::receiver::Line;
use super::time::{Stamp, time_text};

/// The form of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// As Skynet writes it: `[:00000008] text`, after a time if there is one.
    #[default]
    Skynet,
    /// The same after the level and the origin: `info cluster [:00000000] text`.
    Levelled,
    /// One object of JSON, with the time in UTC.
    Json,
}

/// Appends a line in its final form, with its newline.
pub(super) fn append(buffer: &mut Vec<u8>, format: Format, stamp: Stamp, line: &Line) {
    match format {
        Format::Skynet => line::append(buffer, stamp, line.at_ms, line.source, &line.text),
        Format::Levelled => {
            stamp.append(buffer, line.at_ms);
            let (level, origin) = (line.level.name(), line.origin.name());
            buffer.extend_from_slice(format!("{level} {origin} ").as_bytes());
            line::append(buffer, Stamp::None, line.at_ms, line.source, &line.text);
        }
        Format::Json => {
            let object = json!({
                "time": time_text(line.at_ms),
                "level": line.level.name(),
                "source": line.origin.name(),
                "service": format!(":{:08x}", line.source),
                // Another encoding than UTF-8 is none of JSON's.
                "text": String::from_utf8_lossy(&line.text),
            });
            buffer.extend_from_slice(object.to_string().as_bytes());
            buffer.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::level::{Level, Origin};
    use super::*;

    fn written(format: Format, text: &[u8]) -> String {
        let line = Line {
            source: 10,
            origin: Origin::Cluster,
            level: Level::Warning,
            text: text.to_vec(),
            at_ms: 1_795_000_000_067,
        };
        let mut buffer = Vec::new();
        append(&mut buffer, format, Stamp::Utc, &line);
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn each_form_has_its_parts() {
        let time = time_text(1_795_000_000_067);
        assert_eq!(
            written(Format::Skynet, b"lost"),
            format!("{time} [:0000000a] lost\n")
        );
        assert_eq!(
            written(Format::Levelled, b"lost\nhere"),
            format!("{time} warning cluster [:0000000a] lost\n    here\n")
        );
    }

    #[test]
    fn a_line_of_json_is_one_line_whatever_its_text_is() {
        for text in [&b"a \"quoted\"\nand \x1b \\ text"[..], b"\xc4\xe3\xff", b""] {
            let line = written(Format::Json, text);
            assert_eq!(line.matches('\n').count(), 1);
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value["text"], *String::from_utf8_lossy(text));
            assert_eq!(
                (&value["level"], &value["source"]),
                (&json!("warning"), &json!("cluster"))
            );
            assert_eq!(value["service"], ":0000000a");
            assert_eq!(value["time"], *time_text(1_795_000_000_067));
        }
    }
}
