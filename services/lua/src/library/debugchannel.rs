//! `skynet.debugchannel`: passes the lines that a user types in a debug console to the service that is debugged, and sets
//! the hooks of its coroutines.
//!
//! A channel has one writer, which creates it, and at most one reader, which connects to it by its handle. The handle is a
//! number that looks like an address; it is never used as one.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use mlua::{AnyUserData, Error, LightUserData, Lua, LuaString, Result, UserData, Value};

use super::Module;
use crate::host::Host;
use crate::raw::state;

/// Most channels of a process.
pub const CHANNELS_MAX: usize = 1_024;

/// Most bytes of the lines of a channel that are not read yet.
pub const CHANNEL_BYTES_MAX: usize = 256 * 1_024;

/// The longest time that `read` waits for a line.
const READ_WAIT_MAX: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Lines {
    queue: VecDeque<Vec<u8>>,
    bytes: usize,
    has_reader: bool,
}

struct Channel {
    handle: usize,
    lines: Mutex<Lines>,
}

static CHANNELS: Mutex<Option<HashMap<usize, Weak<Channel>>>> = Mutex::new(None);
static LAST_HANDLE: AtomicUsize = AtomicUsize::new(0);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Channel {
    fn drop(&mut self) {
        if let Some(channels) = lock(&CHANNELS).as_mut() {
            channels.remove(&self.handle);
        }
    }
}

impl Channel {
    fn create() -> Result<Arc<Channel>> {
        let mut channels = lock(&CHANNELS);
        let channels = channels.get_or_insert_default();
        if channels.len() >= CHANNELS_MAX {
            return Err(Error::runtime(format!(
                "there are {CHANNELS_MAX} debug channels already"
            )));
        }
        let handle = LAST_HANDLE.fetch_add(1, Ordering::Relaxed) + 1;
        let lines = Mutex::default();
        let channel = Arc::new(Channel { handle, lines });
        channels.insert(handle, Arc::downgrade(&channel));
        Ok(channel)
    }

    fn connect(handle: usize) -> Result<Arc<Channel>> {
        let found = lock(&CHANNELS)
            .as_ref()
            .and_then(|channels| channels.get(&handle)?.upgrade());
        let channel = found.ok_or_else(|| Error::runtime("there is no debug channel with this handle"))?;
        if std::mem::replace(&mut lock(&channel.lines).has_reader, true) {
            return Err(Error::runtime("the debug channel has a reader already"));
        }
        Ok(channel)
    }

    fn write(&self, line: &[u8]) -> Result<()> {
        let mut lines = lock(&self.lines);
        if lines.bytes + line.len() > CHANNEL_BYTES_MAX || lines.queue.len() >= CHANNEL_BYTES_MAX {
            return Err(Error::runtime(
                "the debug channel is full: the service that is debugged is busy, or has ended",
            ));
        }
        lines.bytes += line.len();
        lines.queue.push_back(line.to_vec());
        Ok(())
    }

    fn read(&self) -> Option<Vec<u8>> {
        let mut lines = lock(&self.lines);
        let line = lines.queue.pop_front()?;
        lines.bytes -= line.len();
        Some(line)
    }
}

/// One end of a channel as a value of Lua; `None` once it is released.
struct End(Mutex<Option<Arc<Channel>>>);

impl UserData for End {}

/// The channel of an end.
fn channel(end: &Value) -> Result<Arc<Channel>> {
    let Value::UserData(end) = end else {
        return Err(Error::runtime("expected a debug channel"));
    };
    let end = end.borrow::<End>()?;
    let channel = lock(&end.0).clone();
    channel.ok_or_else(|| Error::runtime("the debug channel is released"))
}

/// Wraps an end in a table with methods.
const OBJECTS: &str = "
local inner = ...
local methods = {}
methods.__index = methods
function methods:read(seconds) return inner.read(self[1], seconds) end
function methods:write(line) return inner.write(self[1], line) end
function methods:is_abandoned() return inner.is_abandoned(self[1]) end
return {
    create = function()
        local channel, handle = inner.create()
        return setmetatable({ channel }, methods), handle
    end,
    connect = function(handle)
        return setmetatable({ inner.connect(handle) }, methods)
    end,
    release = function(channel) inner.release(channel[1]) end,
    sethook = inner.sethook,
    resume = inner.resume,
}";

/// Opens the module.
pub(crate) fn open(lua: &Lua, host: &Rc<Host>) -> Result<Value> {
    let module = Module::new(lua, host)?;
    let end = |lua: &Lua, channel| lua.create_userdata(End(Mutex::new(Some(channel))));
    module.add("create", move |lua, ()| {
        let channel = Channel::create()?;
        let handle = LightUserData(channel.handle as *mut std::ffi::c_void);
        Ok((end(lua, channel)?, handle))
    })?;
    module.add("connect", move |lua, handle: LightUserData| {
        end(lua, Channel::connect(handle.0 as usize)?)
    })?;
    module.add("release", |_, end: AnyUserData| {
        lock(&end.borrow::<End>()?.0).take();
        Ok(())
    })?;
    module.add("write", |_, (end, line): (Value, LuaString)| {
        channel(&end)?.write(&line.as_bytes())
    })?;
    // As in Skynet, an empty channel is read again only after that time, and the line is returned by the next call.
    module.add("read", |lua, (end, timeout): (Value, Option<f64>)| {
        let line = channel(&end)?.read();
        if line.is_none()
            && let Some(timeout) = timeout.filter(|timeout| *timeout > 0.0)
        {
            // The unit is that of Skynet, a tenth of a second.
            std::thread::sleep(READ_WAIT_MAX.mul_f64(timeout.min(1.0)));
        }
        line.map(|line| lua.create_string(line)).transpose()
    })?;
    module.add("is_abandoned", |_, end: Value| {
        // The copy made here counts too.
        Ok(Arc::strong_count(&channel(&end)?) <= 2)
    })?;
    let inner = state::hook_module(lua, host, module.finish()?)?;
    lua.load(OBJECTS).set_name("=debugchannel").call(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_has_one_reader_and_bounded_lines() {
        let writer = Channel::create().expect("a channel");
        let reader = Channel::connect(writer.handle).expect("a reader");
        assert!(Channel::connect(writer.handle).is_err());
        assert_eq!(reader.read(), None);
        writer.write(b"one").expect("written");
        writer.write(&vec![0; CHANNEL_BYTES_MAX - 3]).expect("written");
        assert!(writer.write(b"x").is_err());
        assert_eq!(reader.read().as_deref(), Some(&b"one"[..]));
        writer.write(b"two").expect("written");
        let handle = writer.handle;
        drop((writer, reader));
        assert!(Channel::connect(handle).is_err());
        assert!(Channel::connect(0).is_err());
    }
}
