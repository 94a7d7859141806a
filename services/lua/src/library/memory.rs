//! `skynet.memory`: the memory of the Lua services and of the process.
//!
//! Skynet's own module asks its allocator, jemalloc. What only that allocator knows is an error here that says so.

use std::fs;
use std::rc::Rc;

use mlua::{Error, Lua, Result, Value, Variadic};

use super::{Module, finish_as_value};
use crate::host::Host;

/// The functions that need jemalloc.
const OF_JEMALLOC: [&str; 4] = ["jestat", "mallctl", "dumpheap", "profactive"];

/// A size from `/proc/self/status`, in bytes.
fn process_bytes(key: &str) -> Result<u64> {
    let path = "/proc/self/status";
    let text =
        fs::read_to_string(path).map_err(|error| Error::runtime(format!("cannot read {path}: {error}")))?;
    parse_size(&text, key).ok_or_else(|| Error::runtime(format!("{path} has no {key}")))
}

fn parse_size(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kilobytes: u64 = line
        .strip_prefix(':')?
        .trim()
        .strip_suffix(" kB")?
        .trim()
        .parse()
        .ok()?;
    Some(kilobytes * 1_024)
}

/// The module `skynet.memory`.
pub(crate) fn open(lua: &Lua, host: &Rc<Host>) -> Result<Value> {
    let module = Module::new(lua, host)?;
    module.add("total", |_, ()| process_bytes("VmRSS"))?;
    module.add("block", |_, ()| {
        Ok((
            Value::Nil,
            "the allocator of this program does not count its blocks",
        ))
    })?;
    module.add("current", |lua, ()| Ok(lua.used_memory()))?;
    module.add_with_host("info", |lua, host, ()| {
        lua.create_table_from(host.node.memory_of_services())
    })?;
    module.add_with_host("dump", |_, host, ()| {
        for (handle, bytes) in host.node.memory_of_services() {
            host.caller.log(format!(":{handle:08x} -> {}kb", bytes >> 10));
        }
        Ok(())
    })?;
    // Skynet's option selects among the tables of jemalloc.
    module.add_with_host("dumpinfo", |_, host, _: Variadic<Value>| {
        let of_lua: usize = host
            .node
            .memory_of_services()
            .iter()
            .map(|(_, bytes)| bytes)
            .sum();
        host.caller.log(format!(
            "memory: {} bytes resident, {of_lua} in Lua services",
            process_bytes("VmRSS")?
        ));
        Ok(())
    })?;
    for name in OF_JEMALLOC {
        module.add(name, move |_, _: Variadic<Value>| {
            Err::<(), _>(Error::runtime(format!(
                "skynet.memory.{name} asks jemalloc, which this program does not use"
            )))
        })?;
    }
    finish_as_value(module)
}

#[cfg(test)]
mod tests {
    use super::{parse_size, process_bytes};

    #[test]
    fn sizes_of_the_process_are_in_bytes() {
        assert_eq!(parse_size("Name:\tx\nVmRSS:\t  12 kB\n", "VmRSS"), Some(12_288));
        assert_eq!(parse_size("VmRSSx:\t12 kB\n", "VmRSS"), None);
        assert!(process_bytes("VmRSS").is_ok_and(|bytes| bytes > 0));
    }
}
