//! The reports of all shards, and the question whether each takes work.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, oneshot};
use tokio::time::timeout_at;

use crate::core::ShardCore;
use crate::core::injector::Injector;
use crate::core::node::NodeShared;
use crate::status::{ShardReport, ShardStatus};

/// How long a shard may take for its report.
const ADMIN_SHARD_TIME_MAX: Duration = Duration::from_secs(1);

/// Questions that one shard may have unanswered; further ones count as not answered.
const ADMIN_QUESTIONS_MAX: usize = 4;

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

/// The questions to one shard that it has not answered.
#[derive(Default)]
struct Open {
    count: Arc<AtomicUsize>,
    /// Since when the first of them waits.
    since: Cell<Option<Instant>>,
}

/// Counts a question as answered, or as dropped with the inbox of its shard.
struct Question(Arc<AtomicUsize>);

impl Drop for Question {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Asks the shards of a node. One that hangs is not asked again and again: its inbox stays for others.
pub(super) struct Shards {
    node: Arc<NodeShared>,
    open: Vec<Open>,
}

impl Shards {
    pub(super) fn new(node: Arc<NodeShared>) -> Shards {
        Shards {
            open: node.injectors.iter().map(|_| Open::default()).collect(),
            node,
        }
    }

    /// Runs `work` on every shard, and waits for the results for a bounded time. The first part of each is how long the shard
    /// took to begin, or has not begun.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        work: impl Fn(&Rc<ShardCore>) -> T + Clone + Send + 'static,
    ) -> Vec<(Duration, Option<T>)> {
        let until = tokio::time::Instant::now() + ADMIN_SHARD_TIME_MAX;
        let shards = self.node.injectors.iter().zip(&self.open);
        let answers: Vec<_> = shards
            .map(|(injector, open)| ask_one(injector, open, work.clone()))
            .collect();
        let mut results = Vec::with_capacity(answers.len());
        for (answer, open) in answers.into_iter().zip(&self.open) {
            let answer = match answer {
                Some(answer) => timeout_at(until, answer).await.ok().and_then(Result::ok),
                None => None,
            };
            results.push(match answer {
                Some((age, result)) => {
                    open.since.set(None);
                    (age, Some(result))
                }
                None => (
                    open.since.get().map_or(Duration::ZERO, |since| since.elapsed()),
                    None,
                ),
            });
        }
        results
    }
}

/// Puts a question into the inbox of a shard, unless it has too many already.
fn ask_one<T: Send + 'static>(
    injector: &Injector,
    open: &Open,
    work: impl Fn(&Rc<ShardCore>) -> T + Send + 'static,
) -> Option<oneshot::Receiver<(Duration, T)>> {
    let asked = Instant::now();
    if open.since.get().is_none() {
        open.since.set(Some(asked));
    }
    if open.count.load(Ordering::Relaxed) >= ADMIN_QUESTIONS_MAX {
        return None;
    }
    open.count.fetch_add(1, Ordering::Relaxed);
    let question = Question(Arc::clone(&open.count));
    let (sender, answer) = oneshot::channel();
    let pushed = injector.push(Box::new(move |shard| {
        let (age, _question) = (asked.elapsed(), question);
        // Nobody listens when the time is over.
        if !sender.is_closed() {
            let _ = sender.send((age, work(shard)));
        }
    }));
    pushed.is_ok().then_some(answer)
}

/// The reports of all shards.
pub(super) async fn reports(shards: &Shards, report: fn(&Rc<ShardCore>) -> ShardReport) -> Vec<ShardReport> {
    let answers = shards.ask(report).await;
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
