//! A server that returns all bytes: an answer is the value that was sent.

use super::protocol::Answer;

pub(super) fn answer(value: &[u8], received: &[u8]) -> Result<Option<Answer>, String> {
    let length = value.len().min(received.len());
    if value.get(..length) != received.get(..length) {
        return Err("it did not return the bytes that it was sent".to_owned());
    }
    Ok((length == value.len()).then(|| Answer::of(length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_the_value_and_nothing_else() {
        assert_eq!(answer(b"abc", b"ab"), Ok(None));
        assert_eq!(answer(b"abc", b"abcabc"), Ok(Some(Answer::of(3))));
        assert!(answer(b"abc", b"HTTP").is_err());
        assert!(answer(b"abc", b"ax").is_err());
    }
}
