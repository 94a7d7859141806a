//! The shard of the callee for a message, as the dialler writes it into the header.
//!
//! A key belongs to shard `key % threads` of the callee, and channel `c` to shard `(c - 1) % threads`. Where the
//! two are the same, as always with as many channels as threads, the field is 0: the channel determines the shard.

/// The shards of the callee, as the dialler's end of one connection sees them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShardsOut {
    threads: u64,
    /// The shard that owns the channel.
    own: u64,
}

impl Default for ShardsOut {
    /// Nothing is known: the field is always 0.
    fn default() -> Self {
        Self { threads: 1, own: 0 }
    }
}

impl ShardsOut {
    /// For a channel, counted from 1, to a node with `threads`, at least 1.
    pub(crate) fn new(channel: u32, threads: u32) -> Self {
        let threads = u64::from(threads.max(1));
        Self {
            threads,
            own: u64::from(channel.saturating_sub(1)) % threads,
        }
    }

    /// The field of the header for a key: its shard plus 1, or 0 for the shard of the channel.
    #[inline]
    pub(crate) fn of_key(self, key: u64) -> u16 {
        if self.threads == 1 {
            return 0;
        }
        let shard = key % self.threads;
        // A node has at most 4,096 threads.
        if shard == self.own { 0 } else { shard as u16 + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_0_with_as_many_channels_as_threads() {
        for key in 0..1_000u64 {
            let channel = (key % 4) as u32 + 1;
            assert_eq!(ShardsOut::new(channel, 4).of_key(key), 0);
        }
    }

    #[test]
    fn another_shard_than_that_of_the_channel_is_counted_from_1() {
        let shards = ShardsOut::new(1, 4);
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(|key| shards.of_key(key)),
            [0, 2, 3, 4, 0, 2]
        );
        assert_eq!(ShardsOut::new(6, 4).of_key(u64::MAX), 4);
        assert_eq!(ShardsOut::new(7, 4096).of_key(4095), 4096);
        assert_eq!(ShardsOut::new(1, 1).of_key(7), 0);
        assert_eq!(ShardsOut::default().of_key(7), 0);
    }
}
