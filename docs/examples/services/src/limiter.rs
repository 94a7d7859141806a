//! A rate limiter: who may do how much.
//!
//! Each client has a bucket of tokens that fills at a steady rate, up to a burst. A request takes a token, or is refused with
//! the time after which one is there.
//!
//! Invariant: in any time, a client gets at most the burst, and what the rate fills in that time. It holds over restarts,
//! because a limiter that has just started does not know what it has granted before: its buckets are empty.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skyring::{Caller, Context, Error};

/// Most clients with a bucket. The fullest ones are forgotten first: they lose nothing by it but a burst.
pub const CLIENTS_MAX: usize = 100_000;

/// The limits of each client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Tokens that a bucket holds at most.
    pub burst: u64,
    /// Tokens that fill it in a second.
    pub per_second: u64,
}

/// What the limiter says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// It may be done.
    pub is_allowed: bool,
    /// If not: after how many milliseconds a token is there.
    pub retry_after_ms: u64,
}

/// A bucket. It counts in thousandths of tokens, so that a millisecond at one token a second is one of them.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    millitokens: u64,
    filled_at: Duration,
}

/// The limiter.
pub struct Limiter {
    limits: Limits,
    /// What a bucket has at the start of the limiter.
    first: u64,
    started_at: Duration,
    buckets: BTreeMap<String, Bucket>,
}

#[skyring::service]
impl Limiter {
    #[start]
    fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
        self.started_at = context.now();
        Ok(())
    }

    /// Asks for a token for a client.
    pub fn take(&mut self, context: &Context<Self>, client: &str) -> Verdict {
        let now = context.now();
        let mut bucket = self.filled(client, now);
        let is_allowed = bucket.millitokens >= 1_000;
        let missing = 1_000_u64.saturating_sub(bucket.millitokens);
        if is_allowed {
            bucket.millitokens -= 1_000;
        }
        if self.buckets.len() >= CLIENTS_MAX && !self.buckets.contains_key(client) {
            self.forget_one();
        }
        self.buckets.insert(client.to_owned(), bucket);
        Verdict {
            is_allowed,
            retry_after_ms: missing.div_ceil(self.limits.per_second.max(1)),
        }
    }
}

impl Limiter {
    /// A limiter that has granted who knows what before.
    pub fn new(limits: Limits) -> Limiter {
        Limiter {
            limits,
            first: 0,
            started_at: Duration::ZERO,
            buckets: BTreeMap::new(),
        }
    }

    /// The limiter that one writes first: full buckets at the start. After a restart it grants the burst once more.
    pub fn with_full_buckets(limits: Limits) -> Limiter {
        Limiter {
            first: limits.burst * 1_000,
            ..Limiter::new(limits)
        }
    }

    /// The bucket of a client, as it is now.
    fn filled(&self, client: &str, now: Duration) -> Bucket {
        let bucket = self.buckets.get(client).copied().unwrap_or(Bucket {
            millitokens: self.first,
            filled_at: self.started_at,
        });
        let passed = now.saturating_sub(bucket.filled_at).as_millis();
        let added = u64::try_from(passed)
            .unwrap_or(u64::MAX)
            .saturating_mul(self.limits.per_second);
        let millitokens = bucket.millitokens.saturating_add(added);
        Bucket {
            millitokens: millitokens.min(self.limits.burst * 1_000),
            filled_at: now,
        }
    }

    fn forget_one(&mut self) {
        let fullest = self.buckets.iter().max_by_key(|(_, bucket)| bucket.millitokens);
        if let Some(client) = fullest.map(|(client, _)| client.clone()) {
            self.buckets.remove(&client);
        }
    }
}

/// Opens a limiter on the node of the caller, as `@limiter`.
///
/// # Errors
/// When the node has one already.
pub async fn open(caller: Caller, limiter: Limiter) -> Result<(), Error> {
    let limiter = caller.launch(move |_| limiter).await?;
    caller.cluster().register("limiter", Some(limiter))
}
