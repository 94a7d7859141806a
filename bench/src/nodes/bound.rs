//! How often a node may try to reach one that it has lost, as the book promises it.

use std::time::Duration;

/// The shortest pause before the second attempt: half of 50 ms.
const FIRST_PAUSE: Duration = Duration::from_millis(25);

/// The shortest pause once they no longer grow: half of 800 ms.
const LAST_PAUSE: Duration = Duration::from_millis(400);

/// Most attempts to reach one node within a time: the first at once, and then with the shortest pauses that there may
/// be.
pub(super) fn attempts_max(time: Duration) -> u64 {
    let (mut attempts, mut spent, mut pause) = (1, FIRST_PAUSE, FIRST_PAUSE);
    while spent <= time {
        attempts += 1;
        pause = (pause * 2).min(LAST_PAUSE);
        spent += pause;
    }
    attempts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_become_rarer_until_there_are_five_in_two_seconds() {
        let attempts = |milliseconds| attempts_max(Duration::from_millis(milliseconds));
        // At 0, 25, 75, 175, 375, 775 and 1,175 ms.
        for (milliseconds, count) in [(0, 1), (24, 1), (25, 2), (75, 3), (774, 5), (775, 6), (1_175, 7)] {
            assert_eq!(attempts(milliseconds), count, "{milliseconds}");
        }
        assert_eq!(attempts(60_000) - attempts(58_000), 5);
    }
}
