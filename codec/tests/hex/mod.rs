//! Golden bytes, as the tests write them down.

/// Bytes of a hexadecimal text. White space is ignored, and `<78*3>` is the byte 0x78 three times.
pub(crate) fn bytes_of(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    let byte = |digits: &str| u8::from_str_radix(digits, 16).expect("two hexadecimal digits");
    let mut bytes = Vec::new();
    let mut rest = &digits[..];
    while !rest.is_empty() {
        if let Some(run) = rest.strip_prefix('<') {
            let (run, after) = run.split_once('>').expect("a run like <78*3>");
            let (digits, count) = run.split_once('*').expect("a run like <78*3>");
            bytes.extend(std::iter::repeat_n(byte(digits), count.parse().expect("a count")));
            rest = after;
        } else {
            let (digits, after) = rest.split_at(2);
            bytes.push(byte(digits));
            rest = after;
        }
    }
    bytes
}
