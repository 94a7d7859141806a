//! An error reaches the caller and the log, and the service continues.

use crate::support::run;

#[test]
fn an_error_in_a_handler_reaches_its_caller_and_the_log() {
    let running = run(
        r#"
        local failing = skynet.newservice 'failing'
        local function fails(part, ...)
            local ok, text = pcall(skynet.call, failing, 'lua', ...)
            assert(not ok and text:find(part, 1, true), tostring(text))
        end
        fails('unknown command NO', 'NO')
        fails('stack overflow', 'overflow')
        fails('a table as an error', 'object')
        fails('after a wait', 'later')
        assert(skynet.call(failing, 'lua', 'fine') == 'fine')
        "#,
        &[(
            "failing",
            r#"
            local command = {}
            function command.overflow() local function f() return 1 + f() end return f() end
            function command.object()
                error(setmetatable({}, { __tostring = function() return 'a table as an error' end }))
            end
            function command.later() skynet.sleep(1) error 'after a wait' end
            function command.fine() return 'fine' end
            skynet.start(function()
                skynet.dispatch('lua', function(_, _, name)
                    local f = command[name] or error('unknown command ' .. name)
                    skynet.retpack(f())
                end)
            end)"#,
        )],
    );
    let log = running.await_log("after a wait");
    assert!(log.contains("lua call ["), "{log}");
    assert!(
        log.contains("unknown command NO") && log.contains("stack traceback"),
        "{log}"
    );
    assert!(log.contains("failing.lua:12"), "the line of the error: {log}");
}

#[test]
fn an_error_in_a_forked_coroutine_does_not_end_the_service() {
    let running = run(
        r#"
        skynet.fork(function() error 'in a fork' end)
        skynet.timeout(1, function() error 'in a timer' end)
        skynet.fork(function() coroutine.yield 'astray' end)
        skynet.sleep(5)
        "#,
        &[],
    );
    let log = running.log();
    for part in ["in a fork", "in a timer", "astray"] {
        assert!(log.contains(part), "{part}: {log}");
    }
}

#[test]
fn a_call_that_cannot_wait_or_be_sent_is_an_error() {
    run(
        r#"
        local ok, text = pcall(function()
            table.sort({ 1, 2 }, function() skynet.sleep(1) end)
        end)
        assert(not ok and text:find 'yield', text)
        local ok, text = pcall(skynet.call, nil, 'lua')
        assert(not ok and text:find 'address', text)
        local ok, text = pcall(skynet.call, skynet.self(), 'nosuch')
        assert(not ok and text:find 'protocol', text)
        "#,
        &[],
    );
}

#[test]
fn a_call_of_a_kind_without_a_handler_is_answered_with_an_error() {
    run(
        r#"
        skynet.register_protocol { name = 'other', id = 99, pack = skynet.pack, unpack = skynet.unpack }
        local bare = skynet.newservice 'bare'
        local ok, text = pcall(skynet.call, bare, 'other', 1)
        assert(not ok and text:find 'does not handle', text)
        local ok, text = pcall(skynet.call, bare, 'lua', 1)
        assert(not ok and text:find 'does not handle', text)
        "#,
        &[("bare", "skynet.start(function() end)")],
    );
}
