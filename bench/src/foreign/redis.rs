//! Redis's protocol, version 2: commands as arrays of texts, and where an answer ends.

use super::protocol::{ANSWER_BYTES_MAX, Answer};

/// Longest line of an answer.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Most values of one answer, those in arrays included.
const VALUES_MAX: usize = 1 << 20;

/// A command with its arguments.
pub(super) fn request<'a>(words: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

pub(super) fn answer(received: &[u8]) -> Result<Option<Answer>, String> {
    let (mut at, mut values_left, mut values) = (0, 1usize, 0);
    while values_left > 0 {
        values_left -= 1;
        values += 1;
        if values > VALUES_MAX {
            return Err(format!("an answer has more than {VALUES_MAX} values"));
        }
        let rest = received.get(at..).unwrap_or_default();
        let Some(&kind) = rest.first() else {
            return Ok(None);
        };
        if !b"+-:$*".contains(&kind) {
            return Err("an answer of Redis begins with one of + - : $ *".to_owned());
        }
        let Some(length) = rest.iter().take(LINE_BYTES_MAX).position(|&byte| byte == b'\n') else {
            return if rest.len() < LINE_BYTES_MAX {
                Ok(None)
            } else {
                Err(format!("a line is longer than {LINE_BYTES_MAX} bytes"))
            };
        };
        let line = rest.get(1..length).unwrap_or_default();
        let Some(line) = line.strip_suffix(b"\r") else {
            return Err("a line does not end with CR LF".to_owned());
        };
        at += length + 1;
        if !b"$*:".contains(&kind) {
            continue;
        }
        let number: i64 = std::str::from_utf8(line)
            .ok()
            .and_then(|line| line.parse().ok())
            .ok_or_else(|| "a length or an integer of an answer is no number".to_owned())?;
        // -1 stands for no value.
        let count = usize::try_from(number).unwrap_or(0);
        match kind {
            b'$' if number >= 0 => {
                if count > ANSWER_BYTES_MAX {
                    return Err(format!("a value is longer than {ANSWER_BYTES_MAX} bytes"));
                }
                at += count + 2;
            }
            b'*' => values_left += count.min(VALUES_MAX + 1),
            _ => {}
        }
    }
    if at > received.len() {
        return Ok(None);
    }
    Ok(Some(Answer {
        error: (received.first() == Some(&b'-')).then_some("error-answer"),
        ..Answer::of(at)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_array_of_texts() {
        let words: [&[u8]; 2] = [b"GET", b"a"];
        assert_eq!(request(words.into_iter()), b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
    }

    #[test]
    fn an_answer_ends_where_its_last_value_does_wherever_it_is_cut() {
        for text in [
            "+OK\r\n",
            ":-12\r\n",
            "$5\r\nab\r\nc\r\n",
            "$-1\r\n",
            "*0\r\n",
            "*-1\r\n",
            "*3\r\n:1\r\n*1\r\n$1\r\nx\r\n+y\r\n",
        ] {
            let bytes = text.as_bytes();
            for cut in 0..bytes.len() {
                assert_eq!(answer(&bytes[..cut]), Ok(None), "{text:?} cut at {cut}");
            }
            let two = [bytes, b"+more\r\n"].concat();
            assert_eq!(answer(&two), Ok(Some(Answer::of(bytes.len()))), "{text:?}");
        }
        assert_eq!(
            answer(b"-ERR no\r\n").unwrap().unwrap().error,
            Some("error-answer")
        );
    }

    #[test]
    fn bytes_of_another_protocol_or_without_an_end_are_errors() {
        for bytes in [
            &b"HTTP/1.1 400\r\n"[..],
            b"$x\r\n",
            b"+OK\n",
            b"$99999999999\r\n",
            b"*9999999\r\n",
        ] {
            let mut received = bytes.to_vec();
            received.resize(received.len() + 8 * VALUES_MAX, b'+');
            assert!(answer(&received).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
        assert!(answer(&vec![b'+'; LINE_BYTES_MAX]).is_err());
    }
}
