//! The service of a supervisor: it tells the policy what happens to its children, and does what the policy says.
//!
//! It waits in no future: a launch and a watch are messages whose answers come with a session of their own
//! ([`Service::answered`](crate::Service::answered)), and so does a wake-up at the policy's deadline.
//!
//! Invariant: a session is of one life of one child, so what a former life did is never taken for the present one's.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use skyring_codec::seri::{Table, Value};

use crate::config::Strategy;
use crate::core::ShardCore;
use crate::core::handle::{Handle, KEYED};
use crate::core::payload::Payload;
use crate::core::placement::shard_of_handle;
use crate::core::request::ReplyTo;
use crate::core::spans::SpanKey;
use crate::error::{Error, Text};
use crate::log::Level;
use crate::rt;
use crate::rt::notify::Notify;
use crate::service::Service;
use crate::service::context::Context;
use crate::service::end::End;
use crate::service::launch::launch_described;
use crate::service::message::{Answer, Message};
use crate::service::responder::Responder;
use crate::service::stop::Stop;
use crate::service::supervision::Supervision;
use crate::service::supervisor::child::Child;
use crate::service::supervisor::policy::{Action, Policy, Reason};
use crate::service::supervisor::{CHILDREN_MAX, Supervisor};

/// The session of wake-ups.
const WAKE: u32 = u32::MAX;

/// What an answer is about.
#[derive(Clone, Copy)]
enum Asked {
    Launch,
    Watch,
}

/// One child, or one instance of a keyed child.
struct Slot {
    /// Its description.
    child: usize,
    /// The shard of the instance of a keyed service.
    shard: Option<usize>,
    /// Its present or last life.
    handle: Option<Handle>,
    restarts: u64,
    last_end: Option<End>,
    /// Why its present life, which is being ended, did not start.
    failure: Option<Error>,
    /// Sessions of its present life; 0: none.
    launch: u32,
    watch: u32,
}

/// A running supervisor.
struct Running {
    shard: Rc<ShardCore>,
    name: Text,
    strategy: Strategy,
    is_of_node: bool,
    children: Vec<Child>,
    /// Whether each of the children has its names.
    is_named: Vec<bool>,
    slots: Vec<Slot>,
    policy: Policy,
    sessions: FxHashMap<u32, (usize, Asked)>,
    session_last: u32,
    /// Until when a wake-up is under way.
    wake_at: Option<u64>,
    /// Who waits until every child has started.
    starting: Option<Responder>,
    /// Whether every child is down.
    is_done: bool,
    /// Woken when it is.
    done: Rc<Notify>,
}

impl Supervisor {
    /// Launches it on its shard. `started` gets the answer once every child has started.
    pub(super) fn launch(self, shard: &Rc<ShardCore>, handle: Handle, started: ReplyTo) -> Result<(), Error> {
        let what = format!("supervisor {}", self.name);
        launch_described(shard, handle, what.into(), move |context| {
            let starting = Responder::new(Rc::clone(&context.shard), started, handle, SpanKey::NONE);
            Running::new(&context.shard, self, starting)
        })
    }
}

impl Running {
    fn new(shard: &Rc<ShardCore>, supervisor: Supervisor, starting: Responder) -> Running {
        let slot = |child, shard| Slot {
            child,
            shard,
            handle: None,
            restarts: 0,
            last_end: None,
            failure: None,
            launch: 0,
            watch: 0,
        };
        let mut slots = Vec::new();
        for (number, child) in supervisor.children.iter().enumerate() {
            match child.is_keyed {
                true => slots.extend((0..shard.shards()).map(|shard| slot(number, Some(shard)))),
                false => slots.push(slot(number, None)),
            }
        }
        let rules = slots.iter().map(|slot| supervisor.children[slot.child].rules());
        let policy = Policy::new(
            supervisor.strategy,
            supervisor.restarts_max,
            supervisor.period_ms,
            rules.collect(),
        );
        Running {
            shard: Rc::clone(shard),
            name: supervisor.name,
            strategy: supervisor.strategy,
            is_of_node: supervisor.is_of_node,
            is_named: vec![false; supervisor.children.len()],
            children: supervisor.children,
            slots,
            policy,
            sessions: FxHashMap::default(),
            session_last: 0,
            wake_at: None,
            starting: Some(starting),
            is_done: false,
            done: Rc::default(),
        }
    }

    fn next_session(&mut self, slot: usize, asked: Asked) -> u32 {
        loop {
            self.session_last = if self.session_last >= WAKE - 1 {
                1
            } else {
                self.session_last + 1
            };
            let session = self.session_last;
            if let std::collections::hash_map::Entry::Vacant(entry) = self.sessions.entry(session) {
                entry.insert((slot, asked));
                return session;
            }
        }
    }

    /// Does what the policy says, and wakes it at its next deadline.
    fn act(&mut self, context: &Context<Running>) {
        while let Some(action) = self.policy.next_action() {
            match action {
                Action::Start(slot) => self.launch(context, slot),
                Action::Stop { child, is_kept } => {
                    if let Some(handle) = self.slots[child].handle {
                        context.shard.stop_service(handle, Some(is_kept));
                    }
                }
                Action::Kill(slot) => {
                    if let Some(handle) = self.slots[slot].handle {
                        context.shard.node.metrics.stops_late.add(1);
                        context.log_at(
                            Level::Warning,
                            format!(
                                "{handle} ({}) did not stop in time, and is ended",
                                self.title(slot)
                            ),
                        );
                        context.shard.end_service(handle);
                    }
                }
                Action::GiveUp(slot) => self.give_up(slot),
                Action::Ready => {
                    if let Some(responder) = self.starting.take() {
                        responder.answer(Ok(Payload::default()));
                    }
                }
                Action::Done(reason) => self.end(context, reason),
            }
        }
        let Some(deadline) = self.policy.deadline(context.shard.now()) else {
            return;
        };
        if self.wake_at.is_none_or(|at| deadline < at) {
            self.wake_at = Some(deadline);
            let wait = deadline.saturating_sub(context.shard.now()).max(1);
            context.wake_after(Duration::from_millis(wait), WAKE);
        }
    }

    /// The name of a child for logs, with the shard of an instance.
    fn title(&self, slot: usize) -> String {
        let slot = &self.slots[slot];
        let name = &self.children[slot.child].name;
        match slot.shard {
            Some(shard) => format!("{name}/{shard}"),
            None => name.to_string(),
        }
    }

    /// Launches the next life of a child. The answer is a message.
    fn launch(&mut self, context: &Context<Running>, number: usize) {
        let node = &context.shard.node;
        let slot = &self.slots[number];
        let child = &self.children[slot.child];
        let old = slot.handle;
        let on = slot
            .shard
            .or_else(|| old.map(|old| shard_of_handle(old, node.shards())));
        // A new handle for each life, on the shard of the first: no answer to an earlier life reaches a later one.
        let handle = match on {
            Some(shard) => node.next_handle_on(shard),
            None => node.next_handle(),
        };
        let work = (child.make)(&context.shard.services().kinds);
        let supervision = Supervision {
            restart: child.rules().restart,
            restarts: slot.restarts,
            last_end: slot.last_end.clone(),
            is_kept: None,
        };
        let is_supervisor = child.is_supervisor;
        let launch = self.next_session(number, Asked::Launch);
        let watch = self.next_session(number, Asked::Watch);
        let slot = &mut self.slots[number];
        slot.handle = Some(handle);
        (slot.launch, slot.watch) = (launch, watch);
        let launched = self.reply_to(context, launch);
        let watched = self.reply_to(context, watch);
        let owner = shard_of_handle(handle, node.shards());
        context.shard.run_on(owner, move |shard| {
            let result = work.and_then(|work| {
                let supervised = (supervision, watched);
                let services = shard.services();
                let work = |shard: &Rc<ShardCore>, handle| work(shard, handle, launched);
                shard.hold_messages(|| services.launch_supervised(shard, old, handle, supervised, work))
            });
            // A supervisor answers once its children have started.
            if result.is_err() || !is_supervisor {
                shard.reply(launched, result.map(|()| Payload::default()));
            }
        });
    }

    fn reply_to(&self, context: &Context<Running>, session: u32) -> ReplyTo {
        ReplyTo::Service {
            shard: context.shard.index as u16,
            handle: context.handle(),
            session,
        }
    }

    /// A life has started: the first one, of all instances, gets the names.
    fn launched(&mut self, context: &Context<Running>, number: usize) -> Result<(), Error> {
        let child = self.slots[number].child;
        let instances: Vec<&Slot> = self.slots.iter().filter(|slot| slot.child == child).collect();
        let handles: Vec<Handle> = instances.iter().filter_map(|slot| slot.handle).collect();
        let description = &self.children[child];
        if self.is_named[child] || handles.len() < instances.len() {
            return Ok(());
        }
        let node = &context.shard.node;
        let handle = match description.is_keyed {
            false => handles[0],
            true => {
                let handle = Handle(node.next_handle().0 | KEYED);
                node.names
                    .update(|names| names.add_keyed(handle, Arc::from(handles)))?;
                handle
            }
        };
        for name in &description.names {
            match name.strip_prefix('@') {
                Some(bare) => {
                    node.names.update(|names| names.register(bare, handle))?;
                    context.log(format!("Register [{bare}] {handle}"));
                }
                None => context.name_service(name, handle)?,
            }
        }
        self.is_named[child] = true;
        Ok(())
    }

    /// Frees the names of a child.
    fn give_up(&mut self, number: usize) {
        let Some(handle) = self.slots[number].handle else {
            return;
        };
        let owner = shard_of_handle(handle, self.shard.shards());
        self.shard
            .run_on(owner, move |shard| shard.services().give_up(shard, handle));
    }

    /// An answer about the present life of a child.
    fn handle_answer(&mut self, context: &Context<Running>, session: u32, result: Result<Payload, Error>) {
        let Some((number, asked)) = self.sessions.remove(&session) else {
            return;
        };
        let now = context.shard.update_now();
        match (asked, result) {
            (Asked::Launch, Ok(_)) => {
                self.slots[number].launch = 0;
                match self.launched(context, number) {
                    Ok(()) => self.policy.started(number, now),
                    Err(error) => {
                        let slot = &mut self.slots[number];
                        slot.failure = Some(error);
                        if let Some(handle) = slot.handle {
                            context.shard.end_for_good(handle);
                        }
                    }
                }
            }
            (Asked::Launch, Err(error)) => {
                self.forget_life(number);
                self.start_failed(context, number, &error, now);
            }
            (Asked::Watch, result) => {
                let end = result.and_then(|payload| End::from_payload(&payload));
                let end = end.unwrap_or_else(|error| End::Failed {
                    text: error.to_string().into(),
                });
                self.forget_life(number);
                if let Some(error) = self.slots[number].failure.take() {
                    return self.start_failed(context, number, &error, now);
                }
                let before = self.policy.restart_count();
                self.policy.ended(number, &end, now, rt::random_number());
                self.note_end(context, number, &end, before);
            }
        }
    }

    /// What a life answers from now on is of no interest.
    fn forget_life(&mut self, number: usize) {
        let slot = &mut self.slots[number];
        self.sessions.remove(&std::mem::take(&mut slot.launch));
        self.sessions.remove(&std::mem::take(&mut slot.watch));
    }

    fn start_failed(&mut self, context: &Context<Running>, number: usize, error: &Error, now: u64) {
        let text = format!("{}: {error}", self.title(number));
        let before = self.policy.restart_count();
        self.policy.start_failed(number, &text, now, rt::random_number());
        let end = End::StartFailed { text: text.into() };
        self.note_end(context, number, &end, before);
    }

    /// Logs and counts an end, if it leads to a restart. `before`: the count of restarts before it.
    fn note_end(&mut self, context: &Context<Running>, number: usize, end: &End, before: u64) {
        let title = self.title(number);
        let is_restart = self.policy.restart_count() > before;
        let slot = &mut self.slots[number];
        slot.last_end = Some(end.clone());
        let handle = slot.handle.unwrap_or(Handle::NONE);
        if !is_restart {
            // A child that was stopped says nothing new.
            if end.is_failure() {
                context.log_at(Level::Warning, format!("{handle} ({title}) has ended: {end}"));
            }
            return;
        }
        slot.restarts += 1;
        let count = slot.restarts;
        let wait = self.policy.delay_ms(number, context.shard.now());
        context.log_at(
            Level::Warning,
            format!(
                "{handle} ({title}) has ended and is started again in {wait} ms, for the {count}. time: {end}"
            ),
        );
        let metrics = &context.shard.node.metrics;
        metrics.restarts.add(1);
        match end {
            End::Panicked { .. } => metrics.restarts_after_panic.add(1),
            End::StartFailed { .. } | End::Failed { .. } => metrics.restarts_after_failure.add(1),
            End::Exited => metrics.restarts_after_exit.add(1),
            _ => metrics.restarts_after_kill.add(1),
        }
    }

    /// Every child is down.
    fn end(&mut self, context: &Context<Running>, reason: Reason) {
        self.is_done = true;
        self.done.wake();
        let cause = match reason {
            Reason::Asked => return,
            Reason::StartFailed(text) => {
                if let Some(responder) = self.starting.take() {
                    responder.answer(Err(Error::remote(text.as_str())));
                }
                return context.fail(text);
            }
            Reason::Escalated(text) => format!("supervisor {} gives up: {text}", self.name),
        };
        context.shard.node.metrics.escalations.add(1);
        if self.is_of_node {
            context.shard.node.fail(&cause);
        }
        context.fail(cause);
    }

    /// For consoles: the strategy, and for each child a table of its name, handle, state, restarts and last end.
    fn describe(&self) -> Result<Payload, Error> {
        let rows = self.slots.iter().enumerate().map(|(number, slot)| {
            let handle = slot.handle.unwrap_or(Handle::NONE).to_string();
            let end = slot.last_end.as_ref().map(End::to_string).unwrap_or_default();
            Value::Table(Table {
                array: vec![
                    Value::from(self.title(number)),
                    Value::from(handle),
                    Value::from(self.policy.state_name(number)),
                    Value::Integer(i64::try_from(slot.restarts).unwrap_or(i64::MAX)),
                    Value::from(end),
                ],
                ..Table::default()
            })
        });
        Payload::pack(&(self.strategy.name(), rows.collect::<Vec<Value>>()))
    }
}

impl Service for Running {
    fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
        if self.slots.len() > CHILDREN_MAX {
            let error = Error::invalid(format!(
                "a supervisor has at most {CHILDREN_MAX} children, and {} has {}",
                self.name,
                self.slots.len()
            ));
            if let Some(responder) = self.starting.take() {
                responder.answer(Err(error.clone()));
            }
            return Err(error);
        }
        self.policy.begin(context.shard.update_now());
        self.act(context);
        Ok(())
    }

    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        match message.unpack::<&str>() {
            Ok("CHILDREN") => Answer::from(self.describe()),
            Ok(other) => Answer::error(Error::remote(format!(
                "unknown command {other}: CHILDREN is the one that a supervisor has"
            ))),
            Err(error) => Answer::error(error),
        }
    }

    fn answered(&mut self, context: &Context<Self>, session: u32, result: Result<Payload, Error>) {
        if session == WAKE {
            self.wake_at = None;
            self.policy.wake(context.shard.update_now());
        } else {
            self.handle_answer(context, session, result);
        }
        self.act(context);
    }

    fn stop(&mut self, context: &Context<Self>) -> Stop {
        self.policy.stop(context.shard.update_now());
        self.act(context);
        if self.is_done {
            return Stop::now();
        }
        let done = Rc::clone(&self.done);
        Stop::later(async move { done.wait().await })
    }
}

impl Drop for Running {
    /// Whatever ends it, its children do not outlive it.
    fn drop(&mut self) {
        if self.is_done || self.shard.stopping.get() {
            return;
        }
        for number in (0..self.slots.len()).rev() {
            if let Some(handle) = self.slots[number].handle {
                self.shard.end_for_good(handle);
                self.give_up(number);
            }
        }
        if self.is_of_node {
            self.shard
                .node
                .fail(&format!("supervisor {} has ended", self.name));
        }
    }
}
