//! Every call is answered exactly once, with an error if the service does not answer.

use crate::support::run;

#[test]
fn a_response_answers_its_call_later_and_once() {
    run(
        r#"
        local keeper = skynet.newservice 'keeper'
        local answered
        skynet.fork(function() answered = skynet.call(keeper, 'lua', 'keep') end)
        skynet.sleep(5)
        assert(answered == nil)
        assert(skynet.call(keeper, 'lua', 'give', 'here') == true)
        skynet.yield()
        assert(answered == 'here')
        local ok, text = pcall(skynet.call, keeper, 'lua', 'refuse')
        assert(not ok and text == 'not today', text)
        "#,
        &[(
            "keeper",
            r#"
            local response
            skynet.start(function()
                skynet.dispatch('lua', function(_, _, command, ...)
                    if command == 'keep' then
                        response = skynet.response()
                        assert(response 'TEST')
                    elseif command == 'give' then
                        local ok = response(true, ...)
                        assert(not response 'TEST' and not pcall(response, true))
                        skynet.retpack(ok)
                    else
                        skynet.response()(false, 'not today')
                    end
                end)
            end)"#,
        )],
    );
}

#[test]
fn a_service_that_ends_answers_its_pending_calls() {
    run(
        r#"
        for _, how in ipairs { 'exit', 'kill', 'keep and exit' } do
            local dying = skynet.newservice 'dying'
            local results = {}
            for i = 1, 3 do
                skynet.fork(function() results[i] = table.pack(pcall(skynet.call, dying, 'lua', 'wait')) end)
            end
            skynet.fork(function() results[4] = table.pack(pcall(skynet.call, dying, 'lua', 'keep')) end)
            skynet.sleep(5)
            if how == 'kill' then skynet.kill(dying) else skynet.send(dying, 'lua', 'exit') end
            while #results < 4 do skynet.sleep(1) end
            for i = 1, 4 do
                assert(results[i][1] == false and #results[i][2] > 0, how .. i)
            end
            local ok, text = pcall(skynet.call, dying, 'lua', 'anything')
            assert(not ok and text:find 'no%-such%-service', text)
        end
        "#,
        &[(
            "dying",
            r#"
            local responses = {}
            skynet.start(function()
                skynet.dispatch('lua', function(_, _, command)
                    if command == 'exit' then skynet.exit() end
                    if command == 'keep' then responses[1] = skynet.response() return end
                    skynet.wait()
                end)
            end)"#,
        )],
    );
}

#[test]
fn a_handler_that_returns_without_an_answer_is_logged_and_its_caller_gets_an_error() {
    let running = run(
        r#"
        local forgetful = skynet.newservice 'forgetful'
        local ok, text = pcall(skynet.call, forgetful, 'lua')
        assert(not ok and text:find 'without a response', text)
        "#,
        &[(
            "forgetful",
            "skynet.start(function() skynet.dispatch('lua', function() end) end)",
        )],
    );
    assert!(
        running.log().contains("Maybe forgot response session"),
        "{}",
        running.log()
    );
}

#[test]
fn a_forwarded_call_is_answered_by_the_service_that_got_it() {
    run(
        r#"
        local back = skynet.newservice 'back'
        local front = skynet.newservice('front', back)
        assert(skynet.call(front, 'lua', 'x') == 'back got x')
        local forward = skynet.newservice('forward', back)
        assert(skynet.call(forward, 'lua', 'y') == 'back got y')
        "#,
        &[
            (
                "back",
                r#"
                skynet.start(function()
                    skynet.dispatch('lua', function(_, _, x) skynet.retpack('back got ' .. x) end)
                end)"#,
            ),
            (
                "front",
                r#"
                local back = tonumber((...))
                skynet.start(function()
                    skynet.dispatch('lua', function(session, source, ...)
                        skynet.ignoreret()
                        skynet.redirect(back, source, 'lua', session, skynet.pack(...))
                    end)
                end)"#,
            ),
            (
                "forward",
                r#"
                require 'skynet.manager'
                local back = tonumber((...))
                skynet.register_protocol { name = 'system', id = skynet.PTYPE_SYSTEM,
                    unpack = function(...) return ... end }
                skynet.forward_type({ [skynet.PTYPE_LUA] = skynet.PTYPE_SYSTEM }, function()
                    skynet.dispatch('system', function(session, source, msg, sz)
                        skynet.ignoreret()
                        skynet.redirect(back, source, 'lua', session, msg, sz)
                    end)
                end)"#,
            ),
        ],
    );
}

#[test]
fn services_by_name_and_services_from_functions_exist_once() {
    run(
        r#"
        local a, b = skynet.uniqueservice 'echo', skynet.uniqueservice 'echo'
        assert(a == b and skynet.queryservice 'echo' == a)
        local service = require 'skynet.service'
        local function main(...)
            local skynet = require 'skynet'
            local arguments = { ... }
            skynet.start(function()
                skynet.dispatch('lua', function(_, _, i) skynet.retpack(arguments[i]) end)
            end)
        end
        local made = service.new('made', main, 'x', 'y')
        assert(service.query 'made' == made and skynet.call(made, 'lua', 2) == 'y')
        assert(service.close 'made')
        local ok, text = pcall(skynet.newservice, 'nosuch')
        assert(not ok and text:find 'nosuch', text)
        local ok, text = pcall(skynet.newservice, 'fails')
        assert(not ok and text:find 'on purpose', text)
        local ok, text = pcall(skynet.newservice, 'broken')
        assert(not ok and text:find 'broken', text)
        assert(skynet.localname '.launcher' and skynet.address(10) == ':0000000a')
        skynet.setenv('a_key', 'a value')
        assert(skynet.getenv 'a_key' == 'a value' and skynet.getenv 'thread' == '2' and not skynet.getenv 'none')
        "#,
        &[
            ("echo", "skynet.start(function() end)"),
            ("fails", "skynet.start(function() error 'on purpose' end)"),
            ("broken", "x = = 1"),
        ],
    );
}

#[test]
fn an_unexpected_answer_is_reported_unless_its_call_was_cancelled() {
    let running = run(
        r#"
        local core = require 'skynet.core'
        local later = skynet.newservice 'later'
        -- Sent with a session but without a call, so its answer goes to the handler of unknown responses.
        local me, got = coroutine.running(), {}
        local default = skynet.dispatch_unknown_response(function(session, source, msg, sz)
            got = { session, source, skynet.unpack(msg, sz) }
            skynet.wakeup(me)
        end)
        local session = core.send(later, skynet.PTYPE_LUA, nil, skynet.pack('now', 7))
        skynet.wait(me)
        assert(got[1] == session and got[2] == 0 and got[3] == 7)
        -- The answers to cancelled calls are dropped: those of a killed coroutine and of a request past its limit.
        got = {}
        local co = skynet.fork(function() skynet.call(later, 'lua', 'later', 'killed') end)
        local sleeper = skynet.fork(function() skynet.sleep(3) end)
        skynet.yield()
        skynet.killthread(co)
        skynet.wakeup(sleeper)
        for req, answer in skynet.request { later, 'lua', 'later', 'late' }:select(1) do end
        skynet.sleep(10)
        assert(skynet.call(later, 'lua', 'now', 8) == 8)
        assert(#got == 0)
        skynet.dispatch_unknown_response(default)
        UNKNOWN = core.send(later, skynet.PTYPE_LUA, nil, skynet.pack('now', 'text'))
        assert(skynet.call(later, 'lua', 'now', 9) == 9)
        skynet.error('SESSION=' .. UNKNOWN .. '.')
        "#,
        &[(
            "later",
            r#"
            skynet.start(function()
                skynet.dispatch('lua', function(_, _, command, value)
                    if command == 'later' then skynet.sleep(5) end
                    skynet.retpack(value)
                end)
            end)"#,
        )],
    );
    let log = running.await_log("Unknown session : ");
    let session = log.split_once("SESSION=").expect("a session").1;
    let session = session.split_once('.').expect("its end").0;
    assert!(log.contains("Response message : "), "{log}");
    assert!(
        log.contains(&format!("Unknown session : {session} from 0")),
        "{log}"
    );
    assert_eq!(log.matches("Unknown session").count(), 1, "{log}");
}
