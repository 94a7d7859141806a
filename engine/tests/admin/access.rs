//! Who gets an answer, and to what.

use skyring::WantedSpans;

use crate::http::{builder, get, request};
use crate::node::{run, wait_until};

const TOKEN: &str = "correct-horse-battery-staple";

#[test]
fn with_a_token_only_whoever_has_it_sees_the_node_and_probes_need_none() {
    let (builder, address) = builder(1, Some(TOKEN));
    let _node = builder.start().expect("a node");
    for open in ["/", "/healthz", "/readyz"] {
        assert_eq!(get(address, open).status, 200, "{open}");
    }
    for closed in [
        "GET /metrics",
        "GET /api/status",
        "GET /api/profile",
        "POST /api/profile",
    ] {
        for header in [
            "X: y",
            "Authorization: Bearer wrong",
            "Authorization: Basic dXNlcjpwYXNz",
        ] {
            let refused = request(address, closed, &[header]);
            assert_eq!(refused.status, 401, "{closed} {header}");
            assert!(refused.head.to_lowercase().contains("www-authenticate: bearer"));
            assert!(!refused.body.contains(TOKEN));
        }
    }
    let with_token = format!("Authorization: Bearer {TOKEN}");
    assert_eq!(request(address, "GET /api/status", &[&with_token]).status, 200);
}

#[test]
fn pages_of_other_sites_get_nothing() {
    let (builder, address) = builder(1, None);
    let _node = builder.start().expect("a node");
    for header in [
        "Origin: http://evil.example",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        for path in ["GET /api/status", "POST /api/profile", "GET /"] {
            assert_eq!(request(address, path, &[header]).status, 403, "{path} {header}");
        }
    }
    let own = format!("Origin: http://{address}");
    assert_eq!(request(address, "GET /api/status", &[&own]).status, 200);
}

#[test]
fn what_there_is_not_and_what_a_page_does_not_take_is_an_error() {
    let (builder, address) = builder(1, None);
    let _node = builder.start().expect("a node");
    for (first, status) in [
        ("GET /nothing", 404),
        ("GET /api/status/", 404),
        ("POST /api/status", 405),
        ("DELETE /", 405),
        ("HEAD /api/profile", 405),
        ("HEAD /metrics", 200),
        ("GET /api/profile?seconds=0", 501),
    ] {
        assert_eq!(request(address, first, &[]).status, status, "{first}");
    }
    let page = get(address, "/");
    let head = page.head.to_lowercase();
    for line in [
        "content-security-policy: default-src 'none'",
        "nosniff",
        "no-store",
    ] {
        assert!(head.contains(line), "{line} is not in {head}");
    }
}

#[test]
fn a_profile_is_what_the_profiler_returns_or_why_it_cannot() {
    let (builder, address) = builder(1, None);
    let node = builder.profiler(|time| match time.as_secs() {
        1 => Ok("<svg/>".to_owned()),
        2 => Err("not permitted here".to_owned()),
        _ => panic!("a mistake"),
    });
    let _node = node.start().expect("a node");
    let graph = get(address, "/api/profile?seconds=1");
    assert_eq!((graph.status, graph.body.as_str()), (200, "<svg/>"));
    assert!(graph.head.contains("image/svg+xml"));
    assert!(
        graph
            .head
            .to_lowercase()
            .contains("content-security-policy: sandbox")
    );
    let refused = request(address, "POST /api/profile?seconds=2", &[]);
    assert_eq!(
        (refused.status, refused.body.as_str()),
        (500, "not permitted here\n")
    );
    assert_eq!(get(address, "/api/profile?seconds=3").status, 500);
    for wrong in ["seconds=0", "seconds=61", "seconds=many", "minutes=1"] {
        assert_eq!(
            get(address, &format!("/api/profile?{wrong}")).status,
            400,
            "{wrong}"
        );
    }
    assert_eq!(get(address, "/api/profile?seconds=1").status, 200);
}

#[test]
fn one_profile_is_taken_at_a_time() {
    let (builder, address) = builder(1, None);
    let (begun, has_begun) = std::sync::mpsc::sync_channel(1);
    let (release, released) = std::sync::mpsc::sync_channel::<()>(1);
    let released = std::sync::Mutex::new(released);
    let node = builder.profiler(move |_| {
        let _ = begun.send(());
        let _ = released.lock().map(|released| released.recv());
        Ok("<svg/>".to_owned())
    });
    let _node = node.start().expect("a node");
    let first = std::thread::spawn(move || get(address, "/api/profile").status);
    has_begun.recv().expect("the profile begins");
    assert_eq!(get(address, "/api/profile").status, 409);
    release.send(()).expect("the profiler waits");
    assert_eq!(first.join().expect("it ends"), 200);
}

#[test]
fn a_request_of_who_may_ask_belongs_to_the_trace_of_its_header() {
    const TRACEPARENT: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
    let (builder, address) = builder(1, Some(TOKEN));
    let node = builder.start().expect("a node");
    let authorization = format!("Authorization: Bearer {TOKEN}");
    for (first, lines) in [
        ("GET /healthz", &[TRACEPARENT][..]),
        ("GET /metrics", &[TRACEPARENT]),
        ("GET /metrics", &[TRACEPARENT, TRACEPARENT, &authorization]),
        ("GET /healthz", &[TRACEPARENT, &authorization]),
        ("GET /metrics?x=y", &[&authorization, TRACEPARENT]),
    ] {
        request(address, first, lines);
    }
    let mut spans = Vec::new();
    wait_until("both requests have ended", || {
        spans = run(
            &node,
            |caller| async move { caller.spans(WantedSpans::Trace(TRACE)) },
        );
        spans.iter().filter(|span| span.finished.is_some()).count() == 2
    });
    let seen: Vec<(&str, &str, u64)> = spans
        .iter()
        .map(|span| (&*span.service, &*span.method, span.parent))
        .collect();
    let parent = 0x00f0_67aa_0ba9_02b7;
    assert_eq!(
        seen,
        [
            ("admin", "GET /healthz", parent),
            ("admin", "GET /metrics", parent)
        ]
    );
}
