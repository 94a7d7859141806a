//! A spare interpreter for each shard: the next service that starts there finds it ready. It is made when a service has
//! started and the shard has handed over what it did, so that nobody waits for it.
//!
//! Invariant: a shard has at most one, and none when no service in Lua is left there.

use std::cell::Cell;

use mlua::Lua;

use super::state;

thread_local! {
    static SPARE: Cell<Option<Lua>> = const { Cell::new(None) };
    /// Whether a spare is there, or is about to be made.
    static IS_EXPECTED: Cell<bool> = const { Cell::new(false) };
    /// The interpreters of services on this shard.
    static IN_USE: Cell<usize> = const { Cell::new(0) };
}

/// The right to make the spare. Dropped unused, it lets another be made.
pub(crate) struct Duty(());

impl Duty {
    /// `None`: the shard has a spare, or somebody has the duty.
    pub(crate) fn take() -> Option<Duty> {
        (!IS_EXPECTED.replace(true)).then_some(Duty(()))
    }

    /// Makes the spare.
    pub(crate) fn fulfil(self) {
        // Without services none is needed. When memory runs out, a service makes its own, and says so.
        if IN_USE.get() > 0
            && let Ok(lua) = state::make()
        {
            std::mem::forget(self);
            SPARE.set(Some(lua));
        }
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        IS_EXPECTED.set(false);
    }
}

/// The spare, or a new interpreter, for a service, which calls [`give_up`] at its end.
///
/// # Errors
/// When memory runs out.
pub(super) fn obtain() -> mlua::Result<Lua> {
    let lua = match SPARE.take() {
        Some(lua) => {
            IS_EXPECTED.set(false);
            lua
        }
        None => state::make()?,
    };
    IN_USE.set(IN_USE.get() + 1);
    Ok(lua)
}

/// A service does not need its interpreter any more.
pub(super) fn give_up() {
    IN_USE.set(IN_USE.get() - 1);
    if IN_USE.get() == 0
        && let Some(lua) = SPARE.take()
    {
        IS_EXPECTED.set(false);
        drop(lua);
    }
}
