//! The coroutines of one service: those in use, and idle ones for reuse.
//!
//! A coroutine whose function has returned can run another function, so it is kept: the next message then needs no new
//! coroutine. A reference in Lua's registry keeps each coroutine alive while it is in this table.

use mlua::lua_State;
use rustc_hash::FxHashMap;

/// Most idle coroutines that are kept for reuse. Further ones are left to the garbage collector.
pub const IDLE_THREADS_MAX: usize = 1_024;

/// One coroutine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thread {
    pub(crate) state: *mut lua_State,
    /// Its reference in the registry.
    pub(crate) anchor: i32,
    /// The session of the call that it handles and has not answered; 0: none.
    pub(crate) session: u32,
    /// The source of the message that it handles.
    pub(crate) source: u32,
    /// Whether it handles a message.
    pub(crate) handles_message: bool,
    /// The number of arguments above its function on its stack, before it has started.
    pub(crate) arguments: i32,
    /// The session that it waits for; 0: none.
    pub(crate) waiting: u32,
    /// The service of this node whose answer it waits for; 0: none.
    pub(crate) target: u32,
    /// Whether it is in use.
    busy: bool,
}

/// The coroutines of one service.
#[derive(Default)]
pub(crate) struct Threads {
    all: Vec<Option<Thread>>,
    free: Vec<u32>,
    idle: Vec<u32>,
    by_state: FxHashMap<*mut lua_State, u32>,
}

impl Threads {
    /// Takes an idle coroutine, which is then in use.
    pub(crate) fn reuse(&mut self) -> Option<(u32, *mut lua_State)> {
        let id = self.idle.pop()?;
        let thread = self.all.get_mut(id as usize)?.as_mut()?;
        thread.busy = true;
        Some((id, thread.state))
    }

    /// Adds a new coroutine that is in use.
    pub(crate) fn insert(&mut self, state: *mut lua_State, anchor: i32) -> u32 {
        let thread = Some(Thread {
            state,
            anchor,
            session: 0,
            source: 0,
            handles_message: false,
            arguments: 0,
            waiting: 0,
            target: 0,
            busy: true,
        });
        let id = match self.free.pop() {
            Some(id) => {
                self.all[id as usize] = thread;
                id
            }
            None => {
                self.all.push(thread);
                (self.all.len() - 1) as u32
            }
        };
        self.by_state.insert(state, id);
        id
    }

    #[inline]
    pub(crate) fn get(&self, id: u32) -> Option<Thread> {
        self.all.get(id as usize).copied().flatten()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut Thread> {
        self.all.get_mut(id as usize)?.as_mut()
    }

    /// The coroutine with this state, if it is in use.
    pub(crate) fn find(&self, state: *mut lua_State) -> Option<u32> {
        let id = *self.by_state.get(&state)?;
        self.get(id).filter(|thread| thread.busy).map(|_| id)
    }

    /// Keeps a finished coroutine for reuse. `false`: enough are idle, and the caller must remove it.
    #[inline]
    pub(crate) fn recycle(&mut self, id: u32) -> bool {
        if self.idle.len() >= IDLE_THREADS_MAX {
            return false;
        }
        let Some(thread) = self.all.get_mut(id as usize).and_then(Option::as_mut) else {
            return true;
        };
        thread.session = 0;
        thread.handles_message = false;
        thread.waiting = 0;
        thread.arguments = 0;
        thread.busy = false;
        self.idle.push(id);
        true
    }

    /// Removes a coroutine.
    pub(crate) fn remove(&mut self, id: u32) -> Option<Thread> {
        let thread = self.all.get_mut(id as usize)?.take()?;
        self.by_state.remove(&thread.state);
        self.free.push(id);
        Some(thread)
    }

    /// The first coroutine in use with this id or a higher one.
    pub(crate) fn first_busy(&self, id: u32) -> Option<u32> {
        let all = self.all.iter().enumerate().skip(id as usize);
        all.filter(|(_, thread)| thread.is_some_and(|thread| thread.busy))
            .map(|(id, _)| id as u32)
            .next()
    }

    /// Takes the session of a coroutine that waits for an answer of `target`. Each session is returned once.
    pub(crate) fn take_call_to(&mut self, target: u32) -> Option<u32> {
        let mut all = self.all.iter_mut().flatten();
        let thread = all.find(|thread| thread.busy && thread.target == target && thread.waiting != 0)?;
        thread.target = 0;
        Some(thread.waiting)
    }

    /// Takes all unanswered calls, as source and session.
    pub(crate) fn take_sessions(&mut self) -> Vec<(u32, u32)> {
        let mut sessions = Vec::new();
        for thread in self.all.iter_mut().flatten().filter(|thread| thread.session != 0) {
            sessions.push((thread.source, thread.session));
            thread.session = 0;
        }
        sessions
    }
}
