//! Each message has its own coroutine: requests interleave only where they wait.

use crate::support::run;

const SLOW: &str = r#"
skynet.start(function()
    skynet.dispatch('lua', function(_, _, ticks, value)
        skynet.sleep(ticks)
        skynet.retpack(value)
    end)
end)"#;

#[test]
fn answers_in_another_order_reach_their_callers() {
    run(
        r#"
        local slow = skynet.newservice 'slow'
        local order = {}
        local co = coroutine.running()
        for i, ticks in ipairs { 30, 20, 10 } do
            skynet.fork(function()
                assert(skynet.call(slow, 'lua', ticks, i) == i)
                order[#order + 1] = i
                if #order == 3 then skynet.wakeup(co) end
            end)
        end
        skynet.wait(co)
        assert(table.concat(order) == '321', table.concat(order))
        "#,
        &[("slow", SLOW)],
    );
}

#[test]
fn sleeps_timers_and_wakeups_do_what_skynet_s_do() {
    run(
        r#"
        local before = skynet.now()
        skynet.sleep(5)
        assert(skynet.now() - before >= 4)
        local fired = false
        skynet.timeout(1, function() fired = true end)
        skynet.sleep(10)
        assert(fired)
        local token = {}
        skynet.fork(function() assert(skynet.wakeup(token)) end)
        assert(skynet.sleep(1000000, token) == 'BREAK')
        assert(skynet.wakeup(token) == nil)
        assert(skynet.sleep(1) == nil)
        local forked
        skynet.fork(function(...) forked = { ... } end, 1, nil, 3)
        assert(forked == nil)
        skynet.yield()
        assert(forked[1] == 1 and forked[3] == 3)
        local count = skynet.task()
        local waiting = skynet.fork(function() skynet.wait() end)
        skynet.yield()
        assert(skynet.task() == count + 1)
        assert(skynet.killthread(waiting) == waiting)
        assert(skynet.task() == count)
        "#,
        &[],
    );
}

#[test]
fn a_queue_runs_functions_in_order_and_may_be_called_within_one() {
    run(
        r#"
        local lock = require 'skynet.queue' ()
        local order, co = {}, coroutine.running()
        for i = 1, 5 do
            skynet.fork(function()
                lock(function()
                    order[#order + 1] = i
                    skynet.sleep(1)
                    lock(function() order[#order + 1] = -i end)
                end)
                if i == 5 then skynet.wakeup(co) end
            end)
        end
        skynet.wait(co)
        assert(table.concat(order, ' ') == '1 -1 2 -2 3 -3 4 -4 5 -5', table.concat(order, ' '))
        assert(not pcall(lock, error, 'x'))
        assert(lock(function() return 'free' end) == 'free')
        "#,
        &[],
    );
}

#[test]
fn coroutines_of_skynet_coroutine_can_wait() {
    run(
        r#"
        local co = require 'skynet.coroutine'
        local slow = skynet.newservice 'slow'
        local steps = co.wrap(function(a)
            local b = co.yield(a + 1)
            b = skynet.call(slow, 'lua', 1, b)
            local c = co.yield(b + 1)
            skynet.sleep(1)
            return c + 1
        end)
        assert(steps(1) == 2 and steps(10) == 11 and steps(20) == 21)
        local failing = co.create(function() skynet.sleep(1) error 'inside' end)
        local ok, text = co.resume(failing)
        assert(not ok and text:find 'inside')
        assert(co.status(failing) == 'dead')
        "#,
        &[("slow", SLOW)],
    );
}

#[test]
fn concurrent_requests_end_in_any_order_and_at_the_time_limit() {
    run(
        r#"
        local slow = skynet.newservice 'slow'
        local got = {}
        for request, answer in skynet.request { slow, 'lua', 20, 'late' } { slow, 'lua', 1, 'early' }
            { 4711, 'lua', 0, 'nobody' } :select() do
            got[#got + 1] = answer and answer[1] or 'failed'
        end
        table.sort(got)
        assert(table.concat(got, ' ') == 'early failed late', table.concat(got, ' '))
        local requests, count = skynet.request(), 0
        requests:add { slow, 'lua', 100000, 'never' }
        requests:add { slow, 'lua', 1, 'soon' }
        for _, answer in requests:select(30) do
            count = count + 1
            assert(answer[1] == 'soon')
        end
        assert(requests.timeout and count == 1)
        "#,
        &[("slow", SLOW)],
    );
}

#[test]
fn a_module_that_waits_while_it_is_loaded_is_loaded_once() {
    run(
        r#"
        local both, co = {}, coroutine.running()
        for i = 1, 2 do
            skynet.fork(function()
                both[i] = require 'waits'
                if both[1] and both[2] then skynet.wakeup(co) end
            end)
        end
        skynet.wait(co)
        assert(both[1] == both[2] and both[1].ready)
        "#,
        &[(
            "waits",
            "skynet.sleep(2) local m = {} skynet.init(function() skynet.sleep(1) m.ready = true end) return m",
        )],
    );
}

#[test]
fn variables_to_be_closed_are_closed_when_the_service_exits() {
    let running = run(
        "skynet.newservice 'closes'",
        &[(
            "closes",
            r#"
            local function closing(name)
                return setmetatable({}, { __close = function()
                    skynet.error('CLOSED', name, pcall(skynet.sleep, 1))
                end })
            end
            skynet.start(function()
                skynet.fork(function()
                    local waiting <close> = closing 'waiting'
                    skynet.wait()
                end)
                skynet.timeout(1, function()
                    local exiting <close> = closing 'exiting'
                    skynet.exit()
                end)
            end)"#,
        )],
    );
    running.await_log("CLOSED waiting false");
    running.await_log("CLOSED exiting false");
}

#[test]
fn the_time_of_the_current_message_grows_while_it_is_handled() {
    run(
        r#"
        skynet.sleep(1)
        local before = skynet.stat 'time'
        while skynet.stat 'time' < before + 0.01 do end
        assert(skynet.stat 'time' > before)
        "#,
        &[],
    );
}
