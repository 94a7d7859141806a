//! The page of a node in a real browser: what it shows under load, with nodes down, on narrow screens, by keys, with a token.

use std::net::TcpStream;

use crate::browser::Browser;
use crate::watched_cluster::{Cluster, HOSTILE};

/// An expression: the cell of the row that begins with a text, in the column with this title.
fn cell(table: &str, row: &str, column: &str) -> String {
    format!(
        "[...document.querySelectorAll('{table} tbody tr')].find((row) => row.innerText.trimStart().startsWith({row:?}))\
         ?.querySelector('[data-title=\"{column}\"]')?.innerText"
    )
}

/// An expression: the value of the tile with a title.
fn tile(title: &str) -> String {
    format!(
        "[...document.querySelectorAll('#tiles > div')].find((tile) => tile.innerText.includes({title:?}))\
         ?.querySelector('.value').innerText"
    )
}

/// An expression: the card of a node.
fn card(node: &str) -> String {
    format!(
        "[...document.querySelectorAll('.peer')].find((card) => card.innerText.startsWith({node:?}))?.innerText"
    )
}

fn assert_fits(browser: &mut Browser) {
    let widths = browser.evaluate(
        "[document.scrollingElement.scrollWidth, window.innerWidth, \
         ...[...document.querySelectorAll('#main *')].filter((one) => !one.closest('svg') && \
         one.getBoundingClientRect().right > window.innerWidth + 1).map((one) => one.outerHTML.slice(0, 200))]",
    );
    let widths = widths.as_array().expect("an array");
    assert!(
        widths[0].as_f64() <= widths[1].as_f64() && widths.len() == 2,
        "{widths:?}"
    );
}

#[test]
fn rates_services_channels_and_clients_appear_under_load_and_nodes_that_go_are_shown() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let cluster = Cluster::new("");
    let mut db = cluster.start("db");
    let mut gate = cluster.start("gate");
    browser.set_window(1400, false);
    browser.open(&cluster.url());

    // Rates, percentiles, channels.
    browser.wait_for(&format!("parseFloat({}) > 0", tile("Calls to others")));
    browser.wait_for(&format!("/[µm]s/.test({})", tile("Round trip, p99")));
    browser.wait_for(&format!(
        "parseFloat({}) > 0",
        cell("#channels", "db_beijing 1", "calls/s")
    ));
    browser.wait_for_text("#state", "ready");
    assert_eq!(browser.text("#node"), "gate_beijing");

    // The map with states and zones.
    browser.wait_for(&format!("{}.includes('up')", card("db_beijing")));
    browser.wait_for(&format!("{}.includes('channels open')", card("db_beijing")));
    browser.wait_for(&format!("{}.includes('this node')", card("gate_beijing")));
    browser.wait_for(&format!("{}.includes('disabled')", card("old")));
    assert!(
        browser.text("#map").contains("zone beijing"),
        "{}",
        browser.text("#map")
    );
    assert!(
        browser
            .text("#groups")
            .contains("store (failover): db_beijing, cache_shanghai")
    );

    // Services: by time, by memory, added up; a hostile name is text.
    browser.wait_for_text("#services", HOSTILE);
    assert_eq!(browser.evaluate("document.querySelectorAll('img').length"), 0);
    assert_ne!(browser.evaluate("document.title"), "harm");
    browser.wait_for(&format!(
        "parseFloat({}) > 0",
        cell("#services", &format!(".{HOSTILE}"), "time")
    ));
    browser.click("input[value=memory]");
    let first = "document.querySelector('#services tbody tr').innerText";
    browser.wait_for(&format!("{first}.includes('iB')"));
    browser.wait_for(
        "document.querySelector('#services th[aria-sort=descending]').innerText.includes('memory')",
    );
    browser.click("input[value=label]");
    browser.wait_for(&cell("#services", "front", "services"));
    browser.click("#services table:not([hidden]) th:first-child button");
    browser.wait_for(
        "document.querySelector('#services table:not([hidden]) th:first-child').ariaSort === 'ascending'",
    );
    browser.click("input[value=time]");

    // Clients of the gate.
    let _client = TcpStream::connect(("127.0.0.1", cluster.clients)).expect("the gate listens");
    browser.wait_for(&format!(
        "{}?.includes('1 of 20')",
        cell("#gates", "front", "clients")
    ));
    browser.wait_for(&format!("{} === '1'", tile("Gate clients")));

    // Narrow screens, dark, names for those who do not see it.
    for (width, is_dark) in [
        (400, false),
        (400, true),
        (720, true),
        (1400, true),
        (1400, false),
    ] {
        browser.set_window(width, is_dark);
        browser.screenshot(&format!(
            "load-{width}-{}",
            if is_dark { "dark" } else { "light" }
        ));
        assert_fits(&mut browser);
        let nameless = browser.nameless();
        assert!(nameless.is_empty(), "{nameless:?}");
    }

    // A node that goes and comes.
    db.signal("KILL");
    db.wait_for_end();
    browser.wait_for(&format!("/down|suspect/.test({})", card("db_beijing")));
    browser.wait_for(&format!("{}.includes('down')", card("db_beijing")));
    browser.wait_for_text("#map-about", "1 down");
    for (width, is_dark) in [(400, true), (1400, true), (400, false), (1400, false)] {
        browser.set_window(width, is_dark);
        browser.screenshot(&format!(
            "down-{width}-{}",
            if is_dark { "dark" } else { "light" }
        ));
        assert_fits(&mut browser);
    }
    let _db = cluster.start("db");
    browser.wait_for(&format!("{}.includes('up')", card("db_beijing")));

    // The node of the page itself.
    gate.signal("KILL");
    gate.wait_for_end();
    browser.wait_for_text("#notice", "does not answer");
    assert_eq!(browser.text("#state"), "no answer");
    browser.screenshot("gone-1400-light");
    let _gate = cluster.start("gate");
    browser.wait_for_text("#state", "ready");
    browser.wait_for_text("#notice", "was restarted");
    browser.wait_for(&format!("parseFloat({}) > 0", tile("Calls to others")));
    let faults = browser.faults();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn a_flame_graph_is_taken_by_a_button_and_read_by_keys() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let cluster = Cluster::new("");
    let _db = cluster.start("db");
    let _gate = cluster.start("gate");
    browser.set_window(1400, false);
    browser.open(&cluster.url());
    browser.wait_for("!document.getElementById('main').hidden");

    // Everything is reached by the key, the button among it.
    browser.evaluate("document.getElementById('flame-seconds').value = '1'");
    let focused = "document.activeElement.id";
    for _ in 0..200 {
        browser.press("Tab");
        if browser.evaluate(focused) == "flame-take" {
            break;
        }
    }
    assert_eq!(browser.evaluate(focused), "flame-take");
    browser.press("Enter");
    browser.wait_for("/samples in|no flame graph/.test(document.getElementById('flame-state').innerText)");
    let state = browser.text("#flame-state");
    if state.contains("no flame graph") {
        return eprintln!("skipped: no profile here: {state}");
    }
    let name = "document.activeElement.getAttribute('aria-label')";
    browser.wait_for("document.querySelectorAll('#flame .frame').length > 5");
    browser.screenshot("flame-1400-light");
    browser.click("#flame .frame[tabindex='0']");
    let root = browser.evaluate(name);
    assert!(root.as_str().expect("a name").contains("100 %"), "{root}");
    browser.press("ArrowUp");
    let above = browser.evaluate(name);
    assert_ne!(above, root);
    browser.press("Enter");
    browser.wait_for("document.querySelectorAll('#flame .frame.outer').length > 0");
    browser.press("Escape");
    browser.wait_for("document.querySelectorAll('#flame .frame.outer').length === 0");
    assert_eq!(browser.evaluate(name), root);
    browser.click("#flame-search");
    browser.write("skyring");
    browser.wait_for("document.querySelectorAll('#flame .frame.match').length > 0");
    assert!(browser.text("#flame-line").contains("of the time"));
    let saved = "document.getElementById('flame-save')";
    browser.wait_for(&format!(
        "{saved}.href.startsWith('blob:') && {saved}.download.endsWith('.svg')"
    ));
    browser.set_window(400, true);
    browser.wait_for("document.querySelector('#flame svg').clientWidth < 400");
    browser.screenshot("flame-400-dark");
    assert_fits(&mut browser);
    let nameless = browser.nameless();
    assert!(nameless.is_empty(), "{nameless:?}");
    let faults = browser.faults();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn a_page_asks_for_the_token_and_stores_it_nowhere() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let token = "0123456789abcdef";
    let cluster = Cluster::new(&format!("admin_token = \"{token}\""));
    let _gate = cluster.start("gate");
    browser.set_window(1400, false);
    browser.open(&cluster.url());
    browser.wait_for("document.activeElement.id === 'token'");
    assert_eq!(browser.evaluate("document.getElementById('main').hidden"), true);
    for wrong in ["fedcba9876543210", "with a blank"] {
        browser.write(wrong);
        browser.press("Enter");
        browser.wait_for("document.getElementById('refused').innerText !== ''");
        browser.wait_for("document.activeElement.id === 'token'");
    }
    browser.screenshot("token-1400-light");
    browser.write(token);
    browser.press("Enter");
    browser.wait_for("!document.getElementById('main').hidden");
    browser.wait_for_text("#state", "ready");
    let stored =
        "[localStorage.length, sessionStorage.length, document.cookie, location.href.includes('0123')]";
    assert_eq!(browser.evaluate(stored), serde_json::json!([0, 0, "", false]));
    browser.open(&cluster.url());
    browser.wait_for("document.activeElement.id === 'token'");
    let faults = browser.faults();
    assert!(faults.is_empty(), "{faults:?}");
}
