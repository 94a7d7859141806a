//! `skynet.mongo.driver` puts documents of a module in C into frames, and finds them in replies.

use crate::compiler::Modules;
use crate::node::run_to_end;

/// As `bson` does: `document.new(bytes)` is a userdata, `document.read(address)` the bytes of a document there.
const DOCUMENT: &str = r#"
#include <string.h>
static int new(lua_State *L) {
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    memcpy(lua_newuserdatauv(L, size, 0), bytes, size);
    return 1;
}
static int read(lua_State *L) {
    int size;
    const char *document = lua_touserdata(L, 1);
    memcpy(&size, document, sizeof size);
    lua_pushlstring(L, document, size);
    return 1;
}
int luaopen_document(lua_State *L) {
    static const luaL_Reg functions[] = { { "new", new }, { "read", read }, { 0, 0 } };
    luaL_newlib(L, functions);
    return 1;
}
"#;

#[test]
fn documents_go_into_frames_and_are_found_in_replies() {
    let Some(modules) = Modules::new() else { return };
    let version = if skyring_lua::LUA_VERSION == "5.5" {
        505
    } else {
        504
    };
    modules.build("document", version, &[], DOCUMENT);
    let main = "local driver, document = require 'skynet.mongo.driver', require 'document'
        local bytes = '\\x08\\0\\0\\0\\x0aa\\0\\0'
        -- What follows the document in its memory is left out, as bson reserves more than it needs.
        local frame = driver.op_msg(77, 2, document.new(bytes .. 'rest'))
        assert(frame == string.pack('<I4I4I4I4I4B', 29, 77, 0, 2013, 2, 0) .. bytes)
        assert(driver.length(frame:sub(1, 4)) == 25)
        local reply = string.pack('<I4I4I4I4B', 5, 77, 2013, 0, 0) .. bytes
        local ok, request, address = driver.reply(reply)
        assert(ok == true and request == 77 and document.read(address) == bytes)
        assert(driver.reply(reply:sub(1, 15)) == false)
        for length = 16, #reply - 1 do
            assert(not pcall(driver.reply, reply:sub(1, length)), length)
        end
        assert(not pcall(driver.reply, reply .. 'x') and not pcall(driver.reply))
        for _, wrong in ipairs { 'x', '\\x09\\0\\0\\0abcd', '\\x04\\0\\0\\0a', '\\xff\\xff\\xff\\xffa' } do
            local ok, problem = pcall(driver.op_msg, 1, 0, document.new(wrong))
            assert(not ok and problem:find 'opmsg requires a document', problem)
        end
        assert(not pcall(driver.op_msg, 1, 0, address) and not pcall(driver.op_msg, 1, 0))
        for _, wrong in ipairs { '', 'abc', '\\0\\0\\0\\0', '\\xff\\xff\\xff\\xff' } do
            assert(not pcall(driver.length, wrong))
        end";
    run_to_end(main, &[], &modules.config());
}
