//! Skynet's own console runs unmodified. The environment variable `SKYNET_FOLDER` names a checkout of Skynet; without it
//! the test is skipped, and says so.

use std::io::{Read, Write};

use crate::support::Console;

/// Asks Skynet's console as its users do.
fn ask_skynets_console(folder: &str, builtin_lualib: bool) {
    let console = Console::start_with(&format!(
        "luaservice = luaservice .. ';{folder}/service/?.lua'\n\
         lua_path = lua_path .. ';{folder}/lualib/?.lua;{folder}/lualib/?/init.lua'\n\
         builtin_lualib = {builtin_lualib}"
    ));
    let mut client = console.client();
    // The file is Skynet's: only it knows this command.
    assert!(client.output("help").contains("jmem\tShow jemalloc mem stats\n"));
    let sdb = client.address("snlua sdb");
    assert!(client.output("stat").contains(&format!(":{sdb}\tcpu:")));
    assert!(client.output("mem").contains("(snlua sdb)"));
    assert!(client.output("cmem").contains("total\t"));
    assert!(client.output("netstat").contains("type:LISTEN"));
    assert_eq!(client.output("service"), "");
    client.output(&format!("ping {sdb}"));
    assert!(client.output("snax counter 5").ends_with("\tcounter\n"));
    let fix = crate::support::example().join("fix.lua");
    client.output(&format!("inject {sdb} {}", fix.display()));
    assert_eq!(
        client.output(&format!("call {sdb} \"get\", \"name\"")),
        "1\tskyring!\nn\t1\n"
    );
    client.send(&format!("debug {sdb}"));
    client.read_until(&format!(":{sdb}>"));
    client.send("watch('lua', function(_, _, name) return name == 'get' end)");
    client.read_until("sdb.lua(24)>");
    client.send("name");
    client.read_until("get");
    client.send("s");
    client.read_until("sdb.lua(25)>");
    client.send("cont");
    client.read_until("<CMD OK>\n");
    assert_eq!(client.output("getenv start"), "start\tmain\n");
    let mut stream = console.connect();
    stream
        .write_all(b"GET /getenv/start HTTP/1.1\r\n\r\n")
        .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.ends_with("start\tmain\n<CMD OK>\n"), "{answer}");
}

#[test]
fn skynets_own_console_runs_unmodified() {
    let Ok(folder) = std::env::var("SKYNET_FOLDER") else {
        eprintln!("skipped: SKYNET_FOLDER names no checkout of Skynet");
        return;
    };
    ask_skynets_console(&folder, true);
    ask_skynets_console(&folder, false);
}
