//! Traces of requests over HTTP in services in Lua.

use skyring::{SpanEnd, WantedSpans};

use crate::support::run;

#[test]
fn what_a_request_over_http_causes_belongs_to_its_trace_and_nothing_else_does() {
    let running = run(
        r#"
        local trace = require 'skyring.trace'
        local HEADER = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
        local child = skynet.newservice 'child'
        local function asked() return skynet.call(child, 'lua', 'ask') end
        local function is_of_trace(header) return header and header:sub(1, 36) == HEADER:sub(1, 36) end
        assert(trace.traceparent() == nil and asked() == nil)

        skynet.fork(function()
            for _ = 1, 3 do
                skynet.sleep(1)
                assert(trace.traceparent() == nil and asked() == nil, 'another coroutine')
            end
        end)
        local a, b = trace.within(HEADER, 'GET /page', function(...)
            local own = trace.traceparent()
            assert(is_of_trace(own) and own ~= HEADER)
            local theirs = asked()
            assert(is_of_trace(theirs) and theirs ~= own)
            skynet.sleep(3)
            assert(trace.traceparent() == own)
            skynet.fork(function() assert(trace.traceparent() == own) end)
            skynet.yield()
            return ...
        end, 1, 'x')
        assert(a == 1 and b == 'x')
        assert(trace.traceparent() == nil and asked() == nil)

        local cause = {}
        local ok, raised = pcall(trace.within, HEADER, 'GET /fails', function()
            skynet.sleep(1)
            error(cause)
        end)
        assert(not ok and raised == cause and trace.traceparent() == nil)

        for _, header in ipairs { '', 'x', HEADER:upper(), HEADER .. '-', '\xff', { HEADER, HEADER },
            '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00' } do
            assert(trace.within(header, 'GET /', trace.traceparent) == nil)
        end
        assert(trace.within(nil, 'GET /', function() return 'no header' end) == 'no header')
        assert(not pcall(trace.within, 5, 'GET /', print))
        assert(not pcall(trace.within, HEADER, nil, print))
        "#,
        &[(
            "child",
            "skynet.start(function()
                skynet.dispatch('lua', function()
                    skynet.retpack(require 'skyring.trace'.traceparent())
                end)
            end)",
        )],
    );
    let trace = WantedSpans::Trace(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
    let spans = running
        .node
        .block_on(move |caller| async move { caller.spans(trace) });
    let spans = spans.expect("the node runs");
    let requests: Vec<_> = spans
        .iter()
        .filter(|span| span.parent == 0x00f0_67aa_0ba9_02b7)
        .map(|span| {
            (
                &*span.method,
                span.error.as_deref(),
                span.finished.is_some(),
                span.end,
            )
        })
        .collect();
    let expected = [
        ("GET /page", None, true, SpanEnd::Callee),
        ("GET /fails", Some("remote"), true, SpanEnd::Callee),
    ];
    assert_eq!(requests, expected, "{spans:#?}");
    // The call to the other service, at both ends.
    assert_eq!(spans.len(), 4, "{spans:#?}");
}
