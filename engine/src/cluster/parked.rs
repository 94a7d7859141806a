//! Requests that cannot go on yet: their node is not in the map, or was not met yet.
//!
//! Invariants: they come out in the order in which they went in, whatever place they were kept at; their
//! number and their bytes are bounded; each has at most one timer, which its way out cancels or has used.

use rustc_hash::FxHashMap;
use skyring_codec::Millis;
use skyring_codec::wheel::TimerKey;

use crate::error::Text;
use crate::service::router::WAITING_CALLS_MAX;
use crate::shard::envelope::RemoteRequest;
use crate::shard::slab::{Key, Slab};

/// Most requests of one shard that wait for their node to be named or met.
pub const PARKED_REQUESTS_MAX: usize = 65_536;

/// Most bytes that their payloads have together.
pub const PARKED_BYTES_MAX: usize = 64 << 20;

struct Parked {
    request: RemoteRequest,
    timer: Option<TimerKey>,
    /// Counts up: the order in which requests came.
    number: u64,
}

/// The parked requests of one shard.
#[derive(Default)]
pub(crate) struct ParkingLot {
    places: Slab<Parked>,
    so_far: u64,
    bytes: usize,
}

impl ParkingLot {
    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.places.len() == 0
    }

    /// Keeps a request; gives it back when there is no room.
    pub(crate) fn park(&mut self, request: RemoteRequest) -> Result<Key, Box<RemoteRequest>> {
        let bytes = self.bytes + request.payload.0.len();
        let is_full = match request.waits {
            true => self.places.len() >= PARKED_REQUESTS_MAX + WAITING_CALLS_MAX,
            false => self.places.len() >= PARKED_REQUESTS_MAX || bytes > PARKED_BYTES_MAX,
        };
        if is_full {
            return Err(Box::new(request));
        }
        self.bytes = bytes;
        self.so_far += 1;
        let number = self.so_far;
        Ok(self.places.insert(Parked {
            request,
            timer: None,
            number,
        }))
    }

    /// Remembers the timer that limits a parked request.
    pub(crate) fn set_timer(&mut self, key: Key, timer: TimerKey) {
        if let Some(parked) = self.places.get_mut(key) {
            parked.timer = Some(timer);
        }
    }

    /// Takes one out whose timer has gone off.
    pub(crate) fn remove(&mut self, key: Key) -> Option<RemoteRequest> {
        let parked = self.places.remove(key)?;
        self.bytes -= parked.request.payload.0.len();
        Some(parked.request)
    }

    /// The nodes that requests wait for, each with the latest deadline of its requests.
    pub(crate) fn nodes(&self) -> FxHashMap<Text, Millis> {
        let mut nodes = FxHashMap::default();
        for parked in self.places.iter() {
            let until = parked.request.deadline.unwrap_or(Millis::MAX);
            let latest: &mut Millis = nodes.entry(Text::clone(&parked.request.node)).or_default();
            *latest = until.max(*latest);
        }
        nodes
    }

    /// Takes those out that satisfy `condition`, in the order in which they came, `count` at the most, each with
    /// its timer.
    pub(crate) fn take_where(
        &mut self,
        count: usize,
        condition: impl Fn(&RemoteRequest) -> bool,
    ) -> Vec<(RemoteRequest, Option<TimerKey>)> {
        let mut numbers: Vec<u64> = self
            .places
            .iter()
            .filter(|parked| condition(&parked.request))
            .map(|parked| parked.number)
            .collect();
        let last = match numbers.len() <= count {
            true => u64::MAX,
            false if count == 0 => return Vec::new(),
            false => *numbers.select_nth_unstable(count - 1).1,
        };
        let mut taken = self
            .places
            .drain_where(|parked| parked.number <= last && condition(&parked.request));
        taken.sort_unstable_by_key(|parked| parked.number);
        for parked in &taken {
            self.bytes -= parked.request.payload.0.len();
        }
        taken
            .into_iter()
            .map(|parked| (parked.request, parked.timer))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::handle::{Address, Handle};
    use crate::service::message::Payload;
    use crate::shard::envelope::ReplyTo;

    fn request(key: u64, bytes: usize) -> RemoteRequest {
        RemoteRequest {
            node: "db".into(),
            address: Address::Handle(Handle(1)),
            source: Handle::NONE,
            key,
            channel: 1,
            payload: Payload(vec![0; bytes].into()),
            reply_to: ReplyTo::Nobody,
            deadline: None,
            timeout_ms: 0,
            is_idempotent: false,
            waits: false,
        }
    }

    #[test]
    fn they_come_out_in_the_order_in_which_they_went_in_though_places_are_reused() {
        let mut lot = ParkingLot::default();
        let first = lot.park(request(0, 1)).unwrap();
        lot.park(request(1, 1)).unwrap();
        lot.remove(first).unwrap();
        lot.park(request(2, 1)).unwrap();
        let keys: Vec<u64> = lot
            .take_where(usize::MAX, |_| true)
            .into_iter()
            .map(|(request, _)| request.key)
            .collect();
        assert_eq!(keys, [1, 2]);
        assert_eq!((lot.is_empty(), lot.bytes), (true, 0));
    }

    #[test]
    fn their_bytes_are_bounded() {
        let mut lot = ParkingLot::default();
        lot.park(request(0, PARKED_BYTES_MAX)).unwrap();
        assert!(lot.park(request(1, 1)).is_err());
        assert_eq!(lot.take_where(usize::MAX, |request| request.key == 1).len(), 0);
        assert_eq!(lot.take_where(usize::MAX, |request| request.key == 0).len(), 1);
        lot.park(request(1, 1)).unwrap();
    }

    #[test]
    fn some_of_them_are_the_first_ones() {
        let mut lot = ParkingLot::default();
        for key in 0..100 {
            lot.park(request(key, 1)).unwrap();
        }
        let mut next = 1;
        for count in [0, 1, 7, 100] {
            for (request, _) in lot.take_where(count, |request| request.key % 2 == 1) {
                assert_eq!(request.key, next);
                next += 2;
            }
        }
        assert_eq!((next, lot.take_where(usize::MAX, |_| true).len()), (101, 50));
    }
}
