//! Values arrive as they were sent, between services in Lua and in Rust.

use crate::support::{run, start};

/// Answers with the values it gets.
const ECHO: &str = "
skynet.start(function()
    skynet.dispatch('lua', function(_, _, ...) skynet.retpack(...) end)
end)";

#[test]
fn every_packable_value_is_returned_unchanged() {
    run(
        r#"
        local echo = skynet.newservice 'echo'
        local function same(a, b)
            if type(a) ~= 'table' then return a == b and math.type(a) == math.type(b) end
            for k, v in pairs(a) do if not same(v, b[k]) then return false end end
            for k in pairs(b) do if a[k] == nil then return false end end
            return true
        end
        for _, value in ipairs {
            true, false, 0, 1, 255, 256, 65535, 65536, -1, -2147483648, 2147483648, math.mininteger,
            math.maxinteger, 0.5, -0.0, 1e300, math.huge, '', 'short', ('x'):rep(31), ('y'):rep(32),
            ('z'):rep(70000), {}, {1, 2, 3}, {a = {b = {c = 'd'}}}, {1, 2, nil, 4, x = 'y'},
        } do
            assert(same(value, (skynet.call(echo, 'lua', value))), tostring(value))
        end
        local long = {}
        for i = 1, 1000 do long[i] = i * 3 end
        assert(same(long, (skynet.call(echo, 'lua', long))))
        local values = table.pack(skynet.call(echo, 'lua', nil, 1, nil, 'x', nil))
        assert(values.n == 5 and values[2] == 1 and values[4] == 'x' and values[5] == nil)
        local walked = setmetatable({}, { __pairs = function() return next, { p = 'q' } end })
        assert(skynet.call(echo, 'lua', walked).p == 'q')
        local nan = skynet.call(echo, 'lua', 0/0)
        assert(nan ~= nan)
        assert(skynet.packstring(1, 'a') == skynet.packstring(1, 'a'))
        assert(select('#', skynet.unpack(skynet.packstring())) == 0)
        local a, b = skynet.unpack(skynet.packstring('a', { b = 1 }))
        assert(a == 'a' and b.b == 1)
        "#,
        &[("echo", ECHO)],
    );
}

#[test]
fn a_value_that_cannot_be_packed_is_an_error_and_the_service_continues() {
    run(
        r#"
        local echo = skynet.newservice 'echo'
        local function fails(part, value)
            local ok, text = pcall(skynet.call, echo, 'lua', value)
            assert(not ok and text:find(part, 1, true), tostring(text))
        end
        fails('cannot pack a function', print)
        fails('cannot pack a thread', coroutine.create(print))
        fails('cannot pack a userdata', io.stdout)
        local deep = {}
        for _ = 1, 40 do deep = { deep } end
        fails('nested deeper than 32', deep)
        fails('went wrong', setmetatable({}, { __pairs = function() error 'went wrong' end }))
        assert(skynet.call(echo, 'lua', 'still there') == 'still there')
        "#,
        &[("echo", ECHO)],
    );
}

#[test]
fn a_packed_message_is_released_once() {
    run(
        r#"
        local echo = skynet.newservice 'echo'
        local msg, sz = skynet.pack('x', 7)
        assert(skynet.tostring(msg, sz) == skynet.packstring('x', 7))
        assert(select(2, skynet.unpack(skynet.rawcall(echo, 'lua', msg, sz))) == 7)
        assert(not pcall(skynet.rawsend, echo, 'lua', msg, sz), 'it was sent already')
        assert(not pcall(skynet.unpack, msg, sz))
        skynet.trash(skynet.pack 'x')
        local msg, sz = skynet.pack(('k'):rep(100))
        skynet.trash(msg, sz)
        skynet.trash(msg, sz)
        assert(not pcall(skynet.tostring, msg, sz))
        "#,
        &[("echo", ECHO)],
    );
}

#[test]
fn services_in_lua_and_in_rust_call_each_other() {
    let running = run(
        r#"
        local native = skynet.launch 'echo'
        local a, b = skynet.call(native, 'lua', 'from lua', { 1, 2 })
        assert(a == 'from lua' and b[2] == 2)
        skynet.send(native, 'lua', 'nothing comes back')
        local echo = skynet.newservice 'echo'
        skynet.register '.main'
        skynet.name('.echo', echo)
        "#,
        &[("echo", ECHO)],
    );
    let answer = running
        .node
        .block_on(|caller| async move {
            let answer = caller.call(".echo", &("from rust", 7i64)).await?;
            answer.unpack::<(String, i64)>()
        })
        .expect("the node runs");
    assert_eq!(answer, Ok(("from rust".to_owned(), 7)));
}

#[test]
fn messages_of_one_service_arrive_in_order() {
    run(
        r#"
        local sink = skynet.newservice 'sink'
        for i = 1, 5000 do skynet.send(sink, 'lua', i) end
        assert(skynet.call(sink, 'lua', 'count') == 5000)
        "#,
        &[(
            "sink",
            r#"
            local last = 0
            skynet.start(function()
                skynet.dispatch('lua', function(session, _, i)
                    if i == 'count' then return skynet.retpack(last) end
                    assert(session == 0 and i == last + 1)
                    last = i
                end)
            end)"#,
        )],
    );
}

#[test]
fn a_custom_protocol_gets_its_bytes() {
    run(
        r#"
        skynet.register_protocol { name = 'text', id = skynet.PTYPE_TEXT, pack = function(s) return s end,
            unpack = skynet.tostring }
        local upper = skynet.newservice 'upper'
        assert(skynet.call(upper, 'text', 'abc') == 'ABC')
        assert(skynet.call(upper, 'text', '') == '')
        "#,
        &[(
            "upper",
            r#"
            skynet.register_protocol { name = 'text', id = skynet.PTYPE_TEXT, unpack = skynet.tostring,
                dispatch = function(_, _, s) skynet.ret(s:upper()) end }
            skynet.start(function() end)"#,
        )],
    );
}

#[test]
fn without_the_built_in_library_modules_that_the_user_lacks_are_found() {
    let running = start(
        &[(
            "main.lua",
            "local skynet = require 'skynet' skynet.start(function() skynet.error 'ALL DONE' end)",
        )],
        "builtin_lualib = false",
    );
    running.await_done();
}
