//! A service past a limit is stopped or reported, and the others continue.

use crate::support::{run, start};

#[test]
fn a_service_past_its_memory_limit_gets_an_error_and_continues() {
    let running = run(
        r#"
        local limited = skynet.newservice 'limited'
        local ok, text = pcall(skynet.call, limited, 'lua', 'grow')
        assert(not ok and text:find 'not enough memory', text)
        assert(skynet.call(limited, 'lua', 'fine') == 'fine')
        "#,
        &[(
            "limited",
            r#"
            skynet.memlimit(4 * 1024 * 1024)
            skynet.start(function()
                skynet.dispatch('lua', function(_, _, command)
                    if command == 'grow' then
                        local t = {}
                        for i = 1, 1e8 do t[i] = 'some text ' .. i end
                    end
                    skynet.retpack(command)
                end)
            end)"#,
        )],
    );
    assert!(
        running.log().contains("Set memory limit to 4.00 M"),
        "{}",
        running.log()
    );
}

#[test]
fn a_long_queue_of_a_service_is_logged() {
    let running = run(
        r#"
        skynet.dispatch('lua', function() end)
        for _ = 1, 2000 do skynet.send(skynet.self(), 'lua') end
        "#,
        &[],
    );
    running.await_log("May overload, message queue length = ");
}

#[test]
fn a_thousand_services_lose_no_reply() {
    let running = start(
        &[
            ("main.lua", include_str!("../../examples/many/main.lua")),
            ("actor.lua", include_str!("../../examples/many/actor.lua")),
        ],
        "thread = 4 many = 1000 seconds = 1",
    );
    let log = running.await_done();
    assert!(log.contains("WRONG 0"), "{log}");
}

#[test]
fn an_endless_loop_is_reported_and_can_be_interrupted() {
    let running = run(
        r#"
        local core = require 'skynet.core'
        local loops, helpers = {}, {}
        for i = 1, 8 do loops[i] = skynet.newservice 'looping' end
        -- This service stops the loop, so it must be on another shard.
        local own = core.command('STAT', 'shard')
        local looping
        for _, service in ipairs(loops) do
            if skynet.call(service, 'lua', 'shard') ~= own then looping = service end
        end
        local stopped
        skynet.fork(function() stopped = table.pack(pcall(skynet.call, looping, 'lua', 'loop')) end)
        skynet.sleep(650)
        core.command('SIGNAL', skynet.address(looping) .. ' 0')
        while not stopped do skynet.sleep(5) end
        assert(not stopped[1] and stopped[2]:find 'signal 0', stopped[2])
        assert(skynet.call(looping, 'lua', 'endless') == true)
        "#,
        &[(
            "looping",
            r#"
                local core = require 'skynet.core'
                skynet.start(function()
                    skynet.dispatch('lua', function(_, _, command)
                        if command == 'loop' then while true do end end
                        if command == 'endless' then return skynet.retpack(skynet.endless()) end
                        skynet.retpack(core.command('STAT', 'shard'))
                    end)
                end)"#,
        )],
    );
    let log = running.log();
    assert!(log.contains("maybe in an endless loop"), "{log}");
}
