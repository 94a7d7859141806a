//! The placement of keys on shards and channels. The whole rule is here, and it is public: other programs compute the
//! same numbers.
//!
//! A key is a 64-bit number: an integer is its own key, anything else is hashed by [`hash_bytes`].
//! `shard = key % threads`, `channel = key % channels + 1`. A service without a key is placed by
//! [`hash_number`] of its handle, since handles are given in sequence.
//!
//! A keyed service has an instance on each shard, and a message goes to the instance of [`shard_of_key`]. Its sender
//! knows the number of threads of the other node from the hello, and names the shard in the header where the channel
//! does not determine it (`docs/chapters/wire-native.md`). So a key reaches the same instance with any number of
//! channels.

use super::handle::Handle;

/// Mixes a 64-bit number so that near numbers are far apart (the finaliser of SplitMix64).
#[inline]
pub fn hash_number(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The key of a text or of any other bytes: FNV-1a over them, then [`hash_number`].
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let folded = bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash_number(folded)
}

/// The shard that owns a service without a key.
#[inline]
pub fn shard_of_handle(handle: Handle, shards: usize) -> usize {
    if shards == 1 {
        // A division costs as much as the rest of a look-up.
        return 0;
    }
    (hash_number(u64::from(handle.0)) % shards as u64) as usize
}

/// The shard, from 0, of the instance of a keyed service that gets a key's messages.
pub fn shard_of_key(key: u64, shards: usize) -> usize {
    (key % shards.max(1) as u64) as usize
}

/// The channel, 1..=`channels`, that a key's messages use.
pub fn channel_of_key(key: u64, channels: u32) -> u32 {
    (key % u64::from(channels)) as u32 + 1
}

/// The shard that owns a channel at either end.
pub fn shard_of_channel(channel: u32, shards: usize) -> usize {
    (channel as usize - 1) % shards
}

/// The member of a group with the policy `hash` that owns a key, as an index; `None` when there are no members.
///
/// The score of a member is `hash_number(hash_bytes(member) ^ hash_number(key))`, and the highest owns the key
/// (rendezvous hashing). So the owner depends neither on the order of the members nor on other keys, and when a
/// member leaves, only its own keys move, evenly to all others.
pub fn member_of_key<'a>(key: u64, members: impl IntoIterator<Item = &'a str>) -> Option<usize> {
    let key = hash_number(key);
    let scores = members.into_iter().enumerate();
    let highest = scores.max_by_key(|(_, member)| hash_number(hash_bytes(member.as_bytes()) ^ key));
    highest.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_are_what_other_programs_compute() {
        // SplitMix64 seeded with 0 starts with this number.
        assert_eq!(hash_number(0), 0xe220_a839_7b1d_cdaf);
        // FNV-1a of nothing is its offset basis.
        assert_eq!(hash_bytes(b""), hash_number(0xcbf2_9ce4_8422_2325));
    }

    #[test]
    fn handles_in_sequence_spread_over_the_shards() {
        for shards in [2, 3, 4, 8] {
            let mut counts = vec![0usize; shards];
            for handle in 1..=8_000 {
                counts[shard_of_handle(Handle(handle), shards)] += 1;
            }
            let fair = 8_000 / shards;
            assert!(
                counts.iter().all(|&count| count > fair * 9 / 10),
                "{shards}: {counts:?}"
            );
        }
    }

    #[test]
    fn a_keyed_call_crosses_no_shard_when_channels_and_shards_are_as_many() {
        for key in 0..1_000u64 {
            assert_eq!(shard_of_channel(channel_of_key(key, 4), 4), shard_of_key(key, 4));
        }
    }

    #[test]
    fn keys_spread_over_members_and_only_those_of_a_lost_member_move() {
        let members = ["db1", "db2", "db3", "db4"];
        let mut counts = [0; 4];
        for key in 0..4_000 {
            let before = member_of_key(key, members).unwrap();
            counts[before] += 1;
            let left: Vec<&str> = members.into_iter().filter(|member| *member != "db2").collect();
            let after = left[member_of_key(key, left.iter().copied()).unwrap()];
            assert!(members[before] == after || members[before] == "db2");
        }
        assert!(
            counts.iter().all(|count| (900..1_100).contains(count)),
            "{counts:?}"
        );
        assert_eq!(member_of_key(1, []), None);
    }
}
