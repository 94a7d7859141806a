//! The reports of all shards, and the question whether each takes work.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, oneshot};
use tokio::time::timeout_at;

use crate::core::ShardCore;
use crate::core::node::NodeShared;
use crate::status::{ShardReport, ShardStatus};

/// How long a shard may take for its report.
const ADMIN_SHARD_TIME_MAX: Duration = Duration::from_secs(1);

/// How long an answer is given to others who ask the same: so much work is asked of shards at most, however many ask.
const FRESH_TIME: Duration = Duration::from_millis(100);

/// What was found out last, for those who ask again at once.
pub(super) struct Fresh<T>(Mutex<Option<(Instant, Rc<T>)>>);

impl<T> Default for Fresh<T> {
    fn default() -> Fresh<T> {
        Fresh(Mutex::new(None))
    }
}

impl<T> Fresh<T> {
    /// What was found out lately, else what `find` finds out; several who ask at once wait for the same.
    pub(super) async fn get<F: Future<Output = T>>(&self, find: impl FnOnce() -> F) -> Rc<T> {
        let mut last = self.0.lock().await;
        match &*last {
            Some((when, found)) if when.elapsed() < FRESH_TIME => Rc::clone(found),
            _ => {
                let found = Rc::new(find().await);
                *last = Some((Instant::now(), Rc::clone(&found)));
                found
            }
        }
    }
}

/// Runs `work` on every shard, and waits for the results for a bounded time. The first part of each is how long the shard took
/// to begin, or has not begun.
pub(super) async fn on_all_shards<T: Send + 'static>(
    node: &Arc<NodeShared>,
    work: impl Fn(&Rc<ShardCore>) -> T + Clone + Send + 'static,
) -> Vec<(Duration, Option<T>)> {
    let asked = Instant::now();
    let until = tokio::time::Instant::now() + ADMIN_SHARD_TIME_MAX;
    let ask = |injector: &crate::core::injector::Injector| {
        let (sender, answer) = oneshot::channel();
        let work = work.clone();
        let pushed = injector.push(Box::new(move |shard| {
            let age = asked.elapsed();
            // Nobody listens when the time is over.
            let _ = sender.send((age, work(shard)));
        }));
        pushed.is_ok().then_some(answer)
    };
    let answers: Vec<_> = node.injectors.iter().map(ask).collect();
    let mut results = Vec::with_capacity(answers.len());
    for answer in answers {
        let result = match answer {
            Some(answer) => timeout_at(until, answer).await.ok().and_then(Result::ok),
            None => None,
        };
        results.push(match result {
            Some((age, result)) => (age, Some(result)),
            None => (asked.elapsed(), None),
        });
    }
    results
}

/// The reports of all shards.
pub(super) async fn reports(
    node: &Arc<NodeShared>,
    report: fn(&Rc<ShardCore>) -> ShardReport,
) -> Vec<ShardReport> {
    let answers = on_all_shards(node, report).await;
    let answered = answers.into_iter().enumerate().map(|(index, (age, found))| {
        let mut found = found.unwrap_or_else(|| ShardReport {
            shard: ShardStatus {
                shard: index,
                ..ShardStatus::default()
            },
            ..ShardReport::default()
        });
        found.shard.inbox_age_us = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        found
    });
    answered.collect()
}
