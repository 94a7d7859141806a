//! Builds modules in C, for any version of Lua: the declarations are written down here, so no headers are needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a module needs of `lua.h`, `lauxlib.h` and `luaconf.h`; `VERSION` is 503, 504 or 505.
const HEADER: &str = r#"
#include <stddef.h>
#include <limits.h>
typedef struct lua_State lua_State;
typedef int (*lua_CFunction)(lua_State *);
typedef struct { const char *name; lua_CFunction function; } luaL_Reg;
#if VERSION >= 505
#define LUA_REGISTRYINDEX (-(INT_MAX / 2 + 1000))
#else
#define LUA_REGISTRYINDEX (-1000000 - 1000)
#endif
#define lua_upvalueindex(i) (LUA_REGISTRYINDEX - (i))
void luaL_checkversion_(lua_State *, double, size_t);
#define luaL_checkversion(L) luaL_checkversion_(L, VERSION, sizeof(long long) * 16 + sizeof(double))
void lua_createtable(lua_State *, int, int);
void luaL_setfuncs(lua_State *, const luaL_Reg *, int);
#define luaL_newlib(L, l) (luaL_checkversion(L), lua_createtable(L, 0, 4), luaL_setfuncs(L, l, 0))
long long luaL_checkinteger(lua_State *, int);
int luaL_error(lua_State *, const char *, ...);
void lua_pushinteger(lua_State *, long long);
int lua_pushboolean(lua_State *, int);
void lua_pushvalue(lua_State *, int);
void lua_setfield(lua_State *, int, const char *);
int lua_getfield(lua_State *, int, const char *);
void *lua_newuserdata(lua_State *, size_t);
void *lua_newuserdatauv(lua_State *, size_t, int);
const char *luaL_checklstring(lua_State *, int, size_t *);
void *lua_touserdata(lua_State *, int);
const char *lua_pushlstring(lua_State *, const char *, size_t);
"#;

/// A folder of modules.
pub(crate) struct Modules {
    folder: tempfile::TempDir,
}

impl Modules {
    /// An empty folder; none if there is no C compiler, which is reported.
    pub(crate) fn new() -> Option<Modules> {
        if let Err(problem) = Command::new("cc").arg("--version").output() {
            eprintln!("skipped: there is no C compiler `cc` here: {problem}");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder for the modules");
        Some(Modules { folder })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The line of a config with which services find the modules.
    pub(crate) fn config(&self) -> String {
        format!("lua_cpath = '{}/?.so'", self.path().display())
    }

    /// Writes a file as it is.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, bytes).expect("a file is written");
        path
    }

    /// Builds a module for a version of Lua, with further options of the compiler.
    pub(crate) fn build(&self, name: &str, version: u32, options: &[&str], text: &str) {
        let source = self.write(&format!("{name}.c"), format!("{HEADER}\n{text}").as_bytes());
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", &format!("-DVERSION={version}"), "-o"]);
        compiler
            .arg(self.path().join(format!("{name}.so")))
            .arg(source)
            .args(options);
        let done = compiler.output().expect("the compiler runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}
