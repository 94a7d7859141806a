//! A time as text, and what stands in front of a log line.

use std::time::{SystemTime, UNIX_EPOCH};

use skyring_codec::Millis;

const MS_PER_DAY: u64 = 86_400_000;

/// How far local time is ahead of UTC at a time, given and returned in seconds.
pub type LocalOffset = fn(i64) -> i64;

/// The time in front of a log line.
#[derive(Debug, Clone, Copy)]
pub enum Stamp {
    /// None.
    None,
    /// As Skynet's, `25/11/26 13:40:12.34`, in local time.
    Local(LocalOffset),
    /// `2026-11-25T13:40:12.345Z`.
    Utc,
}

/// The time now, in milliseconds since 1970.
pub(super) fn now_ms() -> Millis {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as Millis)
}

impl Stamp {
    /// Whether lines need a time.
    pub(super) fn needs_time(self) -> bool {
        !matches!(self, Stamp::None)
    }

    /// Appends the time, with the space behind it.
    pub(super) fn append(self, buffer: &mut Vec<u8>, at_ms: Millis) {
        let text = match self {
            Stamp::None => return,
            Stamp::Utc => time_text(at_ms),
            Stamp::Local(offset) => {
                let seconds = (at_ms / 1_000) as i64;
                local_text(at_ms.saturating_add_signed(offset(seconds) * 1_000))
            }
        };
        buffer.extend_from_slice(text.as_bytes());
        buffer.push(b' ');
    }
}

/// A time as Skynet writes it.
fn local_text(local_ms: Millis) -> String {
    let (year, month, day) = date(local_ms / MS_PER_DAY);
    let rest = local_ms % MS_PER_DAY;
    let (hours, minutes, seconds) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1_000 % 60);
    let hundredths = rest / 10 % 100;
    let year = year % 100;
    format!("{day:02}/{month:02}/{year:02} {hours:02}:{minutes:02}:{seconds:02}.{hundredths:02}")
}

/// A time in milliseconds since 1970 as `2026-11-25T13:40:12.345Z`.
pub(crate) fn time_text(since_1970: Millis) -> String {
    let (days, rest) = (since_1970 / MS_PER_DAY, since_1970 % MS_PER_DAY);
    let (year, month, day) = date(days);
    let (hours, minutes) = (rest / 3_600_000, rest / 60_000 % 60);
    let (seconds, milliseconds) = (rest / 1_000 % 60, rest % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}Z")
}

/// The date `days` days after the first of January 1970. Years are counted from the first of March, so that the leap
/// day comes last.
fn date(days: u64) -> (u64, u64, u64) {
    // From 0000-03-01 on; 400 years have always as many days.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_skynets_in_local_time_or_the_time_of_the_world() {
        let text = |stamp: Stamp| {
            let mut buffer = Vec::new();
            stamp.append(&mut buffer, 1_764_078_012_345);
            String::from_utf8(buffer).unwrap()
        };
        assert_eq!(text(Stamp::None), "");
        assert_eq!(text(Stamp::Utc), "2025-11-25T13:40:12.345Z ");
        assert_eq!(text(Stamp::Local(|_| 0)), "25/11/25 13:40:12.34 ");
        assert_eq!(text(Stamp::Local(|_| 8 * 3_600)), "25/11/25 21:40:12.34 ");
        assert_eq!(text(Stamp::Local(|_| -14 * 3_600)), "24/11/25 23:40:12.34 ");
    }

    #[test]
    fn times_have_the_date_of_the_calendar() {
        for (milliseconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_764_078_012_345, "2025-11-25T13:40:12.345Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(time_text(milliseconds), text);
        }
    }
}
