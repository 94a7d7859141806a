//! The time of day as C prints it.

/// A time in seconds since 1970 as C's `ctime` prints it, in local time: `Sun Nov 29 17:57:28 2026`.
pub(crate) fn local_time_text(seconds: i64) -> String {
    // `ctime_r` writes at most 26 bytes for years of four digits, and more for others.
    let mut text: [libc::c_char; 64] = [0; 64];
    // SAFETY: both pointers are to live values, and the text has space for any year of 64 bits.
    let written = unsafe { libc::ctime_r(&seconds, text.as_mut_ptr()) };
    if written.is_null() {
        return seconds.to_string();
    }
    let bytes: Vec<u8> = text.iter().map(|byte| byte.to_ne_bytes()[0]).collect();
    let end = bytes.iter().position(|byte| matches!(byte, 0 | b'\n'));
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_one_line_of_the_form_of_c() {
        let text = local_time_text(1_795_975_045);
        assert!(text.len() == 24 && text.ends_with(" 2026"), "{text}");
    }
}
