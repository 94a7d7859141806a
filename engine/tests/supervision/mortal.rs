//! A service that ends on command, in each possible way.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use skyring::{Answer, Caller, Child, Context, Error, Handle, Message, Payload, Service, Stop};

use crate::node::TIMEOUT;

/// What the lives of mortals have done, in order.
#[derive(Clone, Default)]
pub(crate) struct Record(Arc<Mutex<Vec<String>>>);

impl Record {
    pub(crate) fn add(&self, what: String) {
        self.0.lock().expect("no test panics with it").push(what);
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("no test panics with it"))
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().expect("no test panics with it").clone()
    }
}

/// Ends on command.
pub(crate) struct Mortal {
    pub(crate) name: &'static str,
    pub(crate) record: Record,
    /// The number of its life, from 1.
    pub(crate) life: usize,
    /// How many starts fail from the second life on.
    pub(crate) failing_starts: usize,
    pub(crate) stop_time: Option<Duration>,
}

impl Service for Mortal {
    fn start(&mut self, _context: &Context<Self>) -> Result<(), Error> {
        self.record.add(format!("start {}", self.name));
        if self.life > 1 && self.life <= 1 + self.failing_starts {
            return Err(Error::remote("cannot start yet"));
        }
        Ok(())
    }

    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        match message.unpack::<&str>() {
            Ok("LIFE") => Answer::now(&self.life),
            Ok("PANIC") => panic!("told to"),
            Ok("TASK PANIC") => {
                context.spawn(async { panic!("told to, in a task") });
                Answer::now(&())
            }
            Ok("EXIT") => {
                context.exit();
                Answer::now(&())
            }
            Ok("FAIL") => {
                context.fail("told to fail");
                Answer::now(&())
            }
            Ok("WAIT") => {
                let context = context.clone();
                Answer::later(async move {
                    context.sleep(TIMEOUT * 10).await;
                    Payload::pack(&())
                })
            }
            _ => Answer::error(Error::remote("unknown command")),
        }
    }

    fn stop(&mut self, context: &Context<Self>) -> Stop {
        let (name, record) = (self.name, self.record.clone());
        let Some(time) = self.stop_time else {
            record.add(format!("stop {name}"));
            return Stop::now();
        };
        let context = context.clone();
        Stop::later(async move {
            context.sleep(time).await;
            record.add(format!("stop {name}"));
        })
    }
}

/// A child that is a mortal with a local name.
pub(crate) fn mortal(name: &'static str, record: &Record) -> Child {
    mortal_with(name, record, 0, None)
}

pub(crate) fn mortal_with(
    name: &'static str,
    record: &Record,
    failing_starts: usize,
    stop_time: Option<Duration>,
) -> Child {
    let lives = Arc::new(AtomicUsize::new(0));
    let record = record.clone();
    let make = move |_: &Context<Mortal>| Mortal {
        name,
        record: record.clone(),
        life: lives.fetch_add(1, Ordering::AcqRel) + 1,
        failing_starts,
        stop_time,
    };
    Child::new(name, make).name(&format!(".{name}"))
}

/// Calls until a life with this number answers; every error meanwhile is an honest one.
pub(crate) async fn wait_for_life(caller: &Caller, address: &str, life: usize) -> Handle {
    loop {
        match caller.call(address, "LIFE").timeout(TIMEOUT).await {
            Ok(reply) => {
                let found: usize = reply.unpack().expect("a number");
                assert!(found <= life, "life {found} instead of {life}");
                if found == life {
                    return caller.find(address).expect("it has its name");
                }
            }
            Err(error) => assert_eq!(error.code(), "restarted", "{error}"),
        }
        caller.sleep(Duration::from_millis(1)).await;
    }
}
