//! Calls without a pause while a map changes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use skyring::Node;

use crate::node::{TIMEOUT, wait_until};

/// Threads that call.
const CALLERS: usize = 4;

/// Who has answered how often, and why calls have failed.
#[derive(Debug, Default, Clone)]
pub(crate) struct Answers {
    pub(crate) by_name: BTreeMap<String, u64>,
    pub(crate) errors: Vec<String>,
}

/// Callers that ask `@echo` of one node who it is, one call after the other.
pub(crate) struct Load {
    answers: Arc<Mutex<Answers>>,
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(gate: &Node, node: &'static str) -> Load {
        let (answers, stop) = (Arc::<Mutex<Answers>>::default(), Arc::<AtomicBool>::default());
        let callers = (0..CALLERS).map(|_| {
            let (answers, stop, client) = (Arc::clone(&answers), Arc::clone(&stop), gate.client());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let call = client.node(node).timeout(TIMEOUT).call("@echo", "who");
                    let answer = call.wait().and_then(|reply| reply.unpack::<String>());
                    let mut answers = answers.lock().expect("no caller panics");
                    match answer {
                        Ok(name) => *answers.by_name.entry(name).or_default() += 1,
                        Err(error) => answers.errors.push(error.to_string()),
                    }
                }
            })
        });
        Load {
            callers: callers.collect(),
            answers,
            stop,
        }
    }

    /// What has been answered so far.
    pub(crate) fn so_far(&self) -> Answers {
        self.answers.lock().expect("no caller panics").clone()
    }

    /// Waits until `name` answers, and only `name`: as many calls in a row as there are callers, and some more.
    pub(crate) fn wait_for(&self, name: &str) {
        let mut before = self.so_far();
        let mut enough = 0;
        wait_until(&format!("only {name} answers"), || {
            let now = self.so_far();
            let grown = |of: &Answers| of.by_name.get(name).copied().unwrap_or(0);
            let others = |of: &Answers| of.by_name.values().sum::<u64>() - grown(of);
            let gained = grown(&now) - grown(&before);
            enough = if others(&now) > others(&before) {
                0
            } else {
                enough + gained
            };
            before = now;
            enough > 8 * CALLERS as u64
        });
    }

    /// Ends the callers, and returns what was answered.
    pub(crate) fn end(self) -> Answers {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.join().expect("no caller panics");
        }
        let answers = self.answers.lock().expect("no caller panics");
        answers.clone()
    }
}
