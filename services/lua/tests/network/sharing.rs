//! Values that services of a node share: `skynet.datacenter`, `skynet.multicast`, `skynet.sharedata`,
//! `skynet.sharetable`.

use crate::support::start;

#[test]
fn the_data_centre_stores_a_tree_and_answers_waiting_calls() {
    let main = "local dc = require 'skynet.datacenter'
        assert(dc.set('a', 'b', 1) == nil and dc.get('a', 'b') == 1)
        assert(dc.set('a', 'b', 2) == 1 and dc.get('a', 'c') == nil and dc.get('x', 'y') == nil)
        assert(dc.wait('a', 'b') == 2)
        local got, me = {}, coroutine.running()
        for number = 1, 3 do
            skynet.fork(function()
                got[number] = dc.wait('late', 'value')
                if #got == 3 then skynet.wakeup(me) end
            end)
        end
        skynet.fork(function() got.branch = { pcall(dc.wait, 'late2') } end)
        skynet.sleep(5)
        dc.set('late', 'value', 'here')
        dc.set('late2', 'below', 1)
        if #got < 3 then skynet.wait(me) end
        assert(got[1] == 'here' and got[3] == 'here')
        skynet.sleep(5)
        assert(got.branch[1] == false and got.branch[2]:find 'branch', got.branch[2])
        assert(not pcall(dc.set, 'a', 'b', 'c', 1))";
    start(main, &[]);
}

#[test]
fn published_messages_reach_every_subscriber_in_order() {
    let subscriber = "local mc = require 'skynet.multicast'
        local got = {}
        skynet.start(function()
            skynet.dispatch('lua', function(_, _, command, channel)
                if command == 'sub' then
                    local c = mc.new { channel = channel, dispatch = function(_, source, ...)
                        table.insert(got, { source, ... })
                    end }
                    c:subscribe()
                    UNSUBSCRIBE = function() c:unsubscribe() end
                    skynet.retpack()
                elseif command == 'unsub' then
                    UNSUBSCRIBE()
                    skynet.retpack()
                else
                    skynet.retpack(got)
                end
            end)
        end)";
    let main = "local mc = require 'skynet.multicast'
        local channel = mc.new()
        local subscribers = {}
        for number = 1, 6 do
            subscribers[number] = skynet.newservice 'subscriber'
            skynet.call(subscribers[number], 'lua', 'sub', channel.channel)
        end
        for number = 1, 50 do channel:publish(number, { 'text' }) end
        -- Messages in flight when a service unsubscribes are dropped.
        repeat until #skynet.call(subscribers[6], 'lua', 'got') == 50
        skynet.call(subscribers[6], 'lua', 'unsub')
        channel:publish 'last'
        for number = 1, 6 do
            local got
            repeat got = skynet.call(subscribers[number], 'lua', 'got') until #got >= (number == 6 and 50 or 51)
            for count = 1, 50 do
                assert(got[count][1] == skynet.self() and got[count][2] == count and got[count][3][1] == 'text')
            end
            assert(number == 6 and got[51] == nil or got[51][2] == 'last')
        end
        skynet.kill(subscribers[1])
        channel:publish 'to those who are left'
        channel:delete()
        assert(not pcall(channel.publish, channel, 'late'))";
    start(main, &[("subscriber", subscriber)]);
}

#[test]
fn shared_data_is_read_only_and_follows_updates() {
    let reader = "local sharedata = require 'skynet.sharedata'
        skynet.start(function()
            local data = sharedata.query 'data'
            local inner = data.inner
            skynet.dispatch('lua', function() skynet.retpack(data.number, inner.text, #data.list) end)
        end)";
    let main = "local sharedata = require 'skynet.sharedata'
        sharedata.new('data', { number = 1, inner = { text = 'old' }, list = { 1, 2, 3 } })
        local data = sharedata.query 'data'
        local reader = skynet.newservice 'reader'
        assert(data.number == 1 and data.inner.text == 'old' and #data.list == 3)
        assert(not pcall(function() data.number = 2 end))
        local sum = 0
        for _, number in ipairs(data.list) do sum = sum + number end
        local keys = 0
        for key in pairs(data) do keys = keys + 1 end
        assert(sum == 6 and keys == 3)
        assert(not pcall(sharedata.new, 'data', {}))
        sharedata.update('data', 'number = ... inner = { text = \"new\" } list = { 1 }', 7)
        local number, text, count
        repeat number, text, count = skynet.call(reader, 'lua') until number == 7
        assert(text == 'new' and count == 1)
        repeat skynet.sleep(1) until data.number == 7
        assert(data.inner.text == 'new')
        local copy = sharedata.deepcopy('data', 'inner')
        copy.text = 'mine'
        assert(data.inner.text == 'new')
        sharedata.update('data', { number = 8 })
        repeat skynet.sleep(1) until data.number == 8
        local inner = data.inner
        assert(inner == nil)
        sharedata.delete 'data'
        skynet.sleep(5)
        assert(not pcall(sharedata.query, 'data'))";
    start(main, &[("reader", reader)]);
}

#[test]
fn shared_tables_are_updated_in_place() {
    let main = "local sharetable = require 'skynet.sharetable'
        sharetable.loadtable('one', { x = 1, inner = { y = 1 } })
        sharetable.loadstring('two', 'return { ... }', 1, 2, 3)
        local one, two = sharetable.query 'one', sharetable.query 'two'
        local inner = one.inner
        assert(one.x == 1 and #two == 3 and sharetable.query 'none' == nil)
        sharetable.loadtable('one', { x = 2, inner = { y = 2, z = 3 } })
        assert(one.x == 1)
        sharetable.update 'one'
        assert(one.x == 2 and inner.y == 2 and inner.z == 3 and one.inner == inner)
        local all = sharetable.queryall { 'one', 'two' }
        assert(all.one.x == 2 and all.two[3] == 3)
        assert(not pcall(sharetable.loadstring, 'three', 'return 1'))";
    start(main, &[]);
}
