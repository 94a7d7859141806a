//! What the modules of Skynet's C side promise: `skynet.stm`, `skynet.debugchannel`, `skynet.memory`.

use crate::support::start;

#[test]
fn a_message_of_stm_is_read_by_other_services_until_its_writer_ends() {
    let reader = "local stm = require 'skynet.stm'
        skynet.start(function()
            local object
            skynet.dispatch('lua', function(_, _, command, address)
                if command == 'open' then object = stm.newcopy(address) end
                if command == 'none' then return skynet.retpack(pcall(object, function() error 'mine' end)) end
                skynet.retpack(object(skynet.unpack))
            end)
        end)";
    let writer = "local stm = require 'skynet.stm'
        skynet.start(function()
            local object = stm.new(skynet.pack('first', { 1 }))
            skynet.dispatch('lua', function(_, _, command, ...)
                if command == 'copy' then return skynet.retpack(stm.copy(object)) end
                if command == 'write' then object(skynet.pack(...)) return skynet.retpack() end
                if command == 'text' then object(skynet.packstring(...)) return skynet.retpack() end
                skynet.retpack()
                skynet.exit()
            end)
        end)";
    let main = "local writer = skynet.newservice 'writer'
        local readers = { skynet.newservice 'reader', skynet.newservice 'reader', skynet.newservice 'reader' }
        local copy
        for _, reader in ipairs(readers) do
            copy = skynet.call(writer, 'lua', 'copy')
            local new, text, list = skynet.call(reader, 'lua', 'open', copy)
            assert(new == true and text == 'first' and list[1] == 1)
            assert(skynet.call(reader, 'lua', 'read') == false)
        end
        skynet.call(writer, 'lua', 'write', 'second', 7)
        for _, reader in ipairs(readers) do
            local new, text, number = skynet.call(reader, 'lua', 'read')
            assert(new and text == 'second' and number == 7)
        end
        skynet.call(writer, 'lua', 'text', 'third')
        local ok, problem = skynet.call(readers[1], 'lua', 'none')
        assert(ok == false and problem:find 'mine', problem)
        assert(select(2, skynet.call(readers[2], 'lua', 'read')) == 'third')
        skynet.call(writer, 'lua', 'end')
        repeat skynet.sleep(1) until not pcall(skynet.call, writer, 'lua', 'copy')
        for _, reader in ipairs(readers) do
            assert(skynet.call(reader, 'lua', 'read') == false)
            assert(skynet.call(reader, 'lua', 'open', copy) == false)
        end
        local stm = require 'skynet.stm'
        assert(not pcall(stm.newcopy, nil) and not pcall(stm.new, 7) and not pcall(stm.new))";
    start(main, &[("reader", reader), ("writer", writer)]);
}

#[test]
fn lines_of_a_debug_channel_reach_the_service_that_connects() {
    let other = "local debugchannel = require 'skynet.debugchannel'
        skynet.start(function()
            local channel
            skynet.dispatch('lua', function(_, _, address)
                channel = channel or debugchannel.connect(address)
                skynet.retpack(channel:read(), channel:read(), channel:read(0.01))
            end)
        end)";
    let main = "local debugchannel = require 'skynet.debugchannel'
        local channel, address = debugchannel.create()
        channel:write 'one'
        channel:write ''
        local other = skynet.newservice 'other'
        local one, two, three = skynet.call(other, 'lua', address)
        assert(one == 'one' and two == '' and three == nil)
        assert(not pcall(debugchannel.connect, address))
        channel:write 'later'
        assert(skynet.call(other, 'lua') == 'later')
        local ok, problem = pcall(function() for _ = 1, 1e6 do channel:write(('x'):rep(1000)) end end)
        assert(not ok and problem:find 'full', problem)";
    start(main, &[("other", other)]);
}

#[test]
fn a_hook_stops_a_coroutine_at_each_line() {
    let main = "local debugchannel = require 'skynet.debugchannel'
        local text = 'local sum = 0\\nsum = sum + 1\\nsum = sum + 2\\nreturn sum'
        local co = coroutine.create(load(text, '=stepped'))
        local lines = {}
        debugchannel.sethook(co, function(event, line)
            lines[#lines + 1] = event .. line
            return true
        end, 'l')
        local ok, result
        repeat ok, result = coroutine.resume(co) until coroutine.status(co) == 'dead'
        assert(ok and result == 3, result)
        assert(table.concat(lines, ' ') == 'line1 line2 line3 line4', table.concat(lines, ' '))
        debugchannel.sethook(co)
        local calls = 0
        local count = coroutine.wrap(function()
            debugchannel.sethook(function(event) calls = calls + 1 end, 'c')
            tostring(1) tostring(2)
            debugchannel.sethook()
            tostring(3)
        end)
        count()
        assert(calls == 3, calls)
        assert(not pcall(debugchannel.sethook, function() end) and not pcall(debugchannel.sethook, 1, 'l'))";
    start(main, &[]);
}

#[test]
fn memory_is_that_of_the_process_and_of_each_service() {
    let large = "skynet.start(function()
            KEPT = ('x'):rep(8 << 20)
            skynet.dispatch('lua', function() skynet.retpack(skynet.self()) end)
        end)";
    let main = "local memory = require 'skynet.memory'
        local large = skynet.newservice 'large'
        skynet.call(large, 'lua')
        local info = memory.info()
        assert(info[large] >= 8 << 20, info[large])
        assert(info[skynet.self()] > 0 and info[skynet.self()] < 8 << 20)
        assert(memory.total() > info[large] and memory.current() < 8 << 20)
        local blocks, why = memory.block()
        assert(blocks == nil and why:find 'does not count')
        memory.dump()
        memory.dumpinfo()
        for _, name in ipairs { 'jestat', 'mallctl', 'dumpheap', 'profactive' } do
            local ok, problem = pcall(memory[name], 'stats.allocated')
            assert(not ok and problem:find(name .. ' asks jemalloc', 1, true), problem)
        end
        skynet.kill(large)
        repeat skynet.sleep(1) until memory.info()[large] == nil";
    let running = start(main, &[("large", large)]);
    let log = running.log();
    assert!(
        log.contains(" bytes resident, ") && log.contains(" -> 8"),
        "{log}"
    );
}
