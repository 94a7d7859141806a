//! The core of `skynet.debugchannel`: the lines that a debug console passes to the service that it is attached to.
//!
//! The service polls the channel while it handles no messages, so the lines cannot be messages. One service creates a channel and
//! passes its address to the other, which connects once; the address is a number and is never dereferenced.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use mlua::{Error, LightUserData, Lua, LuaString, Result, UserData, UserDataRef, Value};
use rustc_hash::FxHashMap;

use super::Module;
use crate::host::Host;
use crate::raw::state;

/// Most bytes of lines that wait in a debug channel, 64 for each line included.
pub const DEBUG_CHANNEL_BYTES_MAX: usize = 1 << 20;

/// What a waiting line counts beside its text, in bytes.
const LINE_BYTES: usize = 64;

/// Longest time for which `read` blocks the shard when there is no line.
pub const DEBUG_READ_TIME_MAX: Duration = Duration::from_secs(1);

/// The unit of the timeout of `read`, as in Skynet.
const TIMEOUT_UNIT: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Lines {
    waiting: VecDeque<Bytes>,
    bytes: usize,
}

/// One end of a channel.
struct End {
    /// 0 for the end that connected.
    address: usize,
    lines: Arc<Mutex<Lines>>,
}

impl UserData for End {}

/// The channels to which nobody has connected yet.
struct Unconnected {
    next: usize,
    by_address: Option<FxHashMap<usize, Arc<Mutex<Lines>>>>,
}

static UNCONNECTED: Mutex<Unconnected> = Mutex::new(Unconnected {
    next: 1,
    by_address: None,
});

fn unconnected() -> MutexGuard<'static, Unconnected> {
    UNCONNECTED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl End {
    fn create() -> End {
        let lines = Arc::<Mutex<Lines>>::default();
        let mut unconnected = unconnected();
        let address = unconnected.next;
        unconnected.next += 1;
        let by_address = unconnected.by_address.get_or_insert_default();
        by_address.insert(address, Arc::clone(&lines));
        End { address, lines }
    }

    fn connect(address: usize) -> Result<End> {
        let mut unconnected = unconnected();
        let by_address = unconnected.by_address.as_mut();
        let lines = by_address.and_then(|by_address| by_address.remove(&address));
        let lines = lines.ok_or_else(|| {
            Error::runtime("new channel failed: its other end is gone, or something is connected already")
        })?;
        Ok(End { address: 0, lines })
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, line: &[u8]) -> Result<()> {
        let mut lines = self.lines();
        let bytes = lines.bytes + line.len() + LINE_BYTES;
        if bytes > DEBUG_CHANNEL_BYTES_MAX {
            return Err(Error::runtime(format!(
                "the debug channel is full: {} lines wait for the service to read them",
                lines.waiting.len()
            )));
        }
        lines.bytes = bytes;
        lines.waiting.push_back(Bytes::copy_from_slice(line));
        Ok(())
    }

    fn read(&self) -> Option<Bytes> {
        let mut lines = self.lines();
        let line = lines.waiting.pop_front()?;
        lines.bytes -= line.len() + LINE_BYTES;
        Some(line)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut unconnected = unconnected();
        if let Some(by_address) = unconnected.by_address.as_mut() {
            by_address.remove(&self.address);
        }
    }
}

/// The module `skynet.debugchannel.core`.
pub(crate) fn open(lua: &Lua, host: &Rc<Host>) -> Result<Value> {
    let module = Module::new(lua, host)?;
    module.add("create", |lua, ()| {
        let end = End::create();
        let address = LightUserData(end.address as *mut std::ffi::c_void);
        Ok((lua.create_userdata(end)?, address))
    })?;
    module.add("connect", |lua, address: LightUserData| {
        lua.create_userdata(End::connect(address.0 as usize)?)
    })?;
    module.add("write", |_, (end, line): (UserDataRef<End>, LuaString)| {
        end.write(&line.as_bytes())
    })?;
    module.add("read", |lua, (end, timeout): (UserDataRef<End>, Option<f64>)| {
        let line = end.read();
        if line.is_none() {
            let wait = TIMEOUT_UNIT.as_secs_f64() * timeout.unwrap_or(0.0);
            if wait > 0.0 {
                // The service is being debugged: its shard waits with it, as its thread does in Skynet.
                let wait = wait.min(DEBUG_READ_TIME_MAX.as_secs_f64());
                std::thread::sleep(Duration::from_secs_f64(wait));
            }
        }
        line.map(|line| lua.create_string(&line)).transpose()
    })?;
    let module = module.finish()?;
    state::add_sethook(lua, host, module).map(Value::Table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_end_connects_and_reads_in_order() {
        let creator = End::create();
        creator.write(b"one").expect("there is space");
        let reader = End::connect(creator.address).expect("it connects");
        assert!(End::connect(creator.address).is_err());
        creator.write(b"two").expect("there is space");
        assert_eq!(reader.read().as_deref(), Some(&b"one"[..]));
        assert_eq!(reader.read().as_deref(), Some(&b"two"[..]));
        assert_eq!(reader.read(), None);
    }

    #[test]
    fn a_channel_that_is_gone_or_invented_is_an_error() {
        let creator = End::create();
        let address = creator.address;
        drop(creator);
        assert!(End::connect(address).is_err());
        assert!(End::connect(0).is_err());
    }

    #[test]
    fn a_full_channel_refuses_lines_until_some_are_read() {
        let creator = End::create();
        let reader = End::connect(creator.address).expect("it connects");
        let line = vec![b'x'; DEBUG_CHANNEL_BYTES_MAX / 2 - LINE_BYTES];
        creator.write(&line).expect("there is space");
        creator.write(&line).expect("there is space");
        assert!(creator.write(b"").is_err());
        assert!(reader.read().is_some());
        creator.write(b"").expect("there is space again");
    }
}
