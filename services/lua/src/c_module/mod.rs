//! Examines a module in C before any of its code runs: whether it is a module, and for which version of Lua.
//!
//! A module that is built for another version of Lua than the program's must not run: the index of the registry and
//! the layout of `lua_Debug` differ, so its first function may read and write outside the stack. [`evidence`] says on
//! what the version rests. Where a file does not tell the version, the module is loaded only if all that it calls is
//! the same in the versions that it can be for. `luaL_checkversion_`, which Lua itself provides, then raises an error if
//! it is called with another version; the library in Lua turns that error into the same line.
//!
//! The result is kept for each file: the services of a node each load the modules that they require.

mod evidence;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use mlua::{Lua, Result, Value};
use object::{Object, ObjectKind, ObjectSymbol};
use rustc_hash::FxHashMap;

use crate::host::Host;
use crate::library::{Module, finish_as_value};

/// Largest file of a module in C, in bytes.
pub const MODULE_BYTES_MAX: u64 = 256 << 20;

/// Most files whose examination is remembered; then all are forgotten.
pub const MODULES_EXAMINED_MAX: usize = 1_024;

/// The version of Lua of this program, as `5.4`.
pub const LUA_VERSION: &str = evidence::OWN.name();

/// Most names of functions that an error lists.
const NAMES_LISTED: usize = 4;

/// What a file says about itself.
#[derive(Debug, Clone)]
struct Examined {
    /// Why it must not be loaded, without the name of the file.
    refusal: Option<String>,
    /// Its functions `luaopen_…`.
    openers: Vec<String>,
}

/// A file as it was when it was examined: device, inode, size, time of change in nanoseconds.
type Identity = (u64, u64, u64, i128);

static EXAMINED: Mutex<Option<FxHashMap<Identity, Arc<Examined>>>> = Mutex::new(None);

/// The module `skyring.c_module`: `refusal(path)` returns why a file must not be loaded, or nothing; `openers(path)`
/// returns its functions `luaopen_…` as a text; `wrong_version(path, version)` returns the line for a module that is
/// built for `version`.
pub(crate) fn open(lua: &Lua, host: &Rc<Host>) -> Result<Value> {
    let module = Module::new(lua, host)?;
    module.add("refusal", |_, path: mlua::LuaString| {
        let refusal = match examine(path_of(&path).as_ref()) {
            Ok(examined) => examined.refusal.clone(),
            Err(why) => Some(why),
        };
        Ok(refusal.map(|why| format!("{} {why}", path.to_string_lossy())))
    })?;
    module.add("openers", |_, path: mlua::LuaString| {
        let examined = examine(path_of(&path).as_ref());
        Ok(examined.map_or_else(|_| String::new(), |examined| list(&examined.openers)))
    })?;
    module.add(
        "wrong_version",
        |_, (path, version): (mlua::LuaString, String)| {
            Ok(format!("{} {}", path.to_string_lossy(), wrong_version(&version)))
        },
    )?;
    finish_as_value(module)
}

fn path_of(path: &mlua::LuaString) -> PathBuf {
    PathBuf::from(OsString::from_vec(path.as_bytes().to_vec()))
}

fn wrong_version(found: &str) -> String {
    let mut text = format!(
        "is built for Lua {found}, and this program runs Lua {LUA_VERSION}: build the module for Lua {LUA_VERSION}"
    );
    let build = match found {
        "5.4" => "its default",
        "5.5" => "--no-default-features --features lua55",
        _ => return text,
    };
    let _ = write!(text, ", or skyring with Lua {found} ({build})");
    text
}

fn unknown_version(function: &str) -> String {
    format!(
        "calls {function}, which differs between the versions of Lua, and does not say for which it is built: this program \
         runs Lua {LUA_VERSION}, and a module that is made with luaL_newlib says its version"
    )
}

fn identity(metadata: &Metadata) -> Identity {
    let changed = i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
    (metadata.dev(), metadata.ino(), metadata.len(), changed)
}

/// Examines a file, or returns what an earlier examination found.
///
/// # Errors
/// When it cannot be read; the text follows its name.
fn examine(path: &Path) -> std::result::Result<Arc<Examined>, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err("is no file".to_owned());
    }
    if metadata.len() > MODULE_BYTES_MAX {
        return Err(format!(
            "has {} bytes, and a module in C has {MODULE_BYTES_MAX} at most",
            metadata.len()
        ));
    }
    let identity = identity(&metadata);
    let known = {
        let examined = EXAMINED.lock().unwrap_or_else(PoisonError::into_inner);
        examined.as_ref().and_then(|files| files.get(&identity)).cloned()
    };
    if let Some(known) = known {
        return Ok(known);
    }
    let found = Arc::new(examine_bytes(&fs::read(path).map_err(unreadable)?));
    let mut examined = EXAMINED.lock().unwrap_or_else(PoisonError::into_inner);
    let files = examined.get_or_insert_default();
    if files.len() >= MODULES_EXAMINED_MAX {
        files.clear();
    }
    files.insert(identity, Arc::clone(&found));
    Ok(found)
}

fn examine_bytes(bytes: &[u8]) -> Examined {
    let refused = |refusal: String| Examined {
        refusal: Some(refusal),
        openers: Vec::new(),
    };
    let file = match object::File::parse(bytes) {
        Ok(file) if file.kind() == ObjectKind::Dynamic => file,
        Ok(_) => {
            return refused("is no module in C: it is not a shared library (cc -shared -fPIC)".to_owned());
        }
        Err(error) => return refused(format!("is no module in C: {error}")),
    };
    let mut openers = Vec::new();
    let mut of_skynet = Vec::new();
    for symbol in file.dynamic_symbols() {
        let Ok(name) = symbol.name() else { continue };
        if symbol.is_undefined() && name.starts_with("skynet_") {
            of_skynet.push(name.to_owned());
        } else if !symbol.is_undefined() && name.starts_with("luaopen_") {
            openers.push(name.to_owned());
        }
    }
    // A module of Skynet's program says more with that than with its version.
    let refusal = if of_skynet.is_empty() {
        let versions = evidence::versions(&file);
        if versions.contains(evidence::OWN) {
            evidence::ambiguous(&file, versions).map(|function| unknown_version(&function))
        } else {
            Some(wrong_version(&versions.to_string()))
        }
    } else {
        Some(format!(
            "calls functions of Skynet's own program, which this one does not have ({}); what Skyring has of it is built in",
            list(&of_skynet)
        ))
    };
    Examined { refusal, openers }
}

fn list(names: &[String]) -> String {
    let mut text = names[..names.len().min(NAMES_LISTED)].join(", ");
    if names.len() > NAMES_LISTED {
        text.push_str(", …");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{examine_bytes, wrong_version};

    #[test]
    fn bytes_that_are_no_shared_library_are_refused() {
        for bytes in [&b""[..], b"return {}", b"\x7fELF", &[0; 100]] {
            let refusal = examine_bytes(bytes).refusal.expect("a refusal");
            assert!(refusal.starts_with("is no module in C: "), "{refusal}");
        }
    }

    #[test]
    fn only_versions_that_the_program_can_be_built_with_are_offered() {
        assert!(!wrong_version("5.3").contains("--features"));
        assert!(wrong_version("5.5").contains("lua55"));
    }
}
