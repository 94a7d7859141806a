//! A launch is answered once, with what became of the service, and the launcher lists the services that live.

use crate::support::{run, start};

#[test]
fn a_launch_is_answered_by_what_becomes_of_the_service() {
    run(
        r#"
        local manager = require 'skynet.manager'
        local function refused(part, ...)
            local ok, problem = pcall(skynet.newservice, ...)
            assert(not ok and tostring(problem):find(part, 1, true), tostring(problem))
        end
        -- Often enough that each becomes true on the caller's shard and on the other one.
        for round = 1, 8 do
            local handle = skynet.newservice('starts', round, 2.5, 'text')
            assert(skynet.call(handle, 'lua') == round .. ' 2.5 text')
            refused('snlua fails did not start: ', 'fails')
            refused('on purpose', 'fails')
            refused('snlua nosuch did not start: its file failed', 'nosuch')
            assert(skynet.newservice 'exits' == nil)
            assert(select('#', skynet.newservice 'exits') == 1)
        end
        refused('number 2 is a table', 'starts', {})
        refused('number 2 is a nil', 'starts', nil, 1)
        refused('its file failed')
        "#,
        SERVICES,
    );
}

#[test]
fn a_service_that_is_killed_while_it_starts_fails_its_launch() {
    run(
        r#"
        local manager = require 'skynet.manager'
        for round = 1, 8 do
            local ok, problem
            local me = coroutine.running()
            skynet.fork(function()
                ok, problem = pcall(skynet.newservice, 'hangs', round)
                skynet.wakeup(me)
            end)
            local hanging
            repeat
                skynet.sleep(1)
                for address, what in pairs(skynet.call('.launcher', 'lua', 'LIST')) do
                    if what == 'snlua hangs ' .. round then hanging = address end
                end
            until hanging
            skynet.fork(skynet.kill, hanging)
            skynet.wait(me)
            assert(not ok and problem:find 'killed before it had started', tostring(problem))
            assert(not skynet.call('.launcher', 'lua', 'LIST')[hanging])
        end
        "#,
        SERVICES,
    );
}

#[test]
fn the_launcher_lists_services_from_their_launch_to_their_end() {
    run(
        r#"
        local manager = require 'skynet.manager'
        local function list() return skynet.call('.launcher', 'lua', 'LIST') end
        for round = 1, 8 do
            local a, b = skynet.newservice('starts', 'a'), skynet.newservice('starts', 'b')
            assert(list()[skynet.address(a)] == 'snlua starts a' and list()[skynet.address(b)] == 'snlua starts b')
            skynet.kill(a)
            assert(not list()[skynet.address(a)])
            local killed = skynet.call('.launcher', 'lua', 'KILL', skynet.address(b))
            assert(killed[skynet.address(b)] == 'snlua starts b' and not list()[skynet.address(b)])
            assert(skynet.call('.launcher', 'lua', 'KILL', 0x7ffffff0)[':7ffffff0'] == 'nil')
        end
        -- One whose end nobody reports.
        local ends = skynet.newservice 'starts'
        require 'skynet.core'.command('KILL', skynet.address(ends))
        assert(not list()[skynet.address(ends)])
        "#,
        SERVICES,
    );
}

#[test]
fn the_launcher_launches_for_those_who_ask_it() {
    run(
        r#"
        local function launch(...) return skynet.call('.launcher', 'lua', 'LAUNCH', ...) end
        for round = 1, 8 do
            assert(skynet.call(launch('snlua', 'starts', 'x', round), 'lua') == 'x ' .. round)
            assert(launch('snlua', 'exits') == nil)
            local ok, problem = pcall(launch, 'snlua', 'fails')
            assert(not ok and problem:find('on purpose', 1, true), problem)
        end
        local ok, problem = pcall(launch, 'nokind', 'x')
        assert(not ok and problem:find('unknown kind of service "nokind"', 1, true), problem)
        -- A service in Rust has started when it is there.
        assert(skynet.call(launch('echo'), 'lua', 7) == 7)
        -- The session of a request leads to the service that is starting for it.
        local core, manager = require 'skynet.core', require 'skynet.manager'
        local session = core.send('.launcher', skynet.PTYPE_LUA, nil, skynet.pack('LAUNCH', 'snlua', 'hangs'))
        local found
        repeat
            skynet.sleep(1)
            found = skynet.call('.launcher', 'lua', 'QUERY', session)
        until found
        skynet.dispatch_unknown_response(function() end)
        skynet.kill(found)
        assert(skynet.call('.launcher', 'lua', 'QUERY', session) == nil)
        "#,
        SERVICES,
    );
}

#[test]
fn a_launcher_of_the_user_is_asked_and_told() {
    let files = [
        (
            "boot.lua",
            r#"
            local skynet = require 'skynet.manager'
            skynet.start(function()
                skynet.name('.launcher', assert(skynet.launch('snlua', 'own')))
                local one = skynet.newservice('starts', 'one')
                assert(skynet.call(one, 'lua') == 'one')
                local ok, problem = pcall(skynet.newservice, 'fails')
                assert(not ok and problem:find('own: ', 1, true) and problem:find('on purpose', 1, true), problem)
                local ok, problem = pcall(skynet.newservice, 'nosuch')
                assert(not ok and problem:find('own: ', 1, true), problem)
                skynet.error 'ALL DONE'
            end)"#,
        ),
        (
            "own.lua",
            r#"
            local skynet = require 'skynet.manager'
            local starting, problems = {}, {}
            local function finish(source, ...)
                local answer = starting[source]
                starting[source] = nil
                if answer then answer(...) end
            end
            skynet.register_protocol {
                name = 'text', id = skynet.PTYPE_TEXT, unpack = skynet.tostring,
                dispatch = function(_, source, text) finish(source, false, 'own: ' .. text) end,
            }
            skynet.dispatch('lua', function(_, source, command, kind, ...)
                if command == 'LAUNCH' then
                    local answer = skynet.response()
                    starting[skynet.launch(kind, ...)] = answer
                elseif command == 'LAUNCHOK' then
                    finish(source, true, source)
                elseif command == 'ERROR' then
                    finish(source, false, 'own: ' .. kind)
                end
            end)
            skynet.start(function() end)"#,
        ),
        SERVICES[0],
        SERVICES[1],
    ]
    .map(|(name, text)| match name.contains('.') {
        true => (name.to_owned(), text.to_owned()),
        false => (format!("{name}.lua"), format!("local skynet = require 'skynet'\n{text}")),
    });
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    start(&files, "bootstrap = 'snlua boot'").await_done();
}

/// Services that start, or do not.
const SERVICES: &[(&str, &str)] = &[
    (
        "starts",
        r#"
        local arguments = table.concat({ ... }, ' ')
        skynet.start(function()
            skynet.dispatch('lua', function() skynet.retpack(arguments) end)
        end)"#,
    ),
    ("fails", "skynet.start(function() error 'on purpose' end)"),
    ("exits", "skynet.start(function() skynet.exit() end)"),
    ("hangs", "skynet.start(function() skynet.wait() end)"),
];
