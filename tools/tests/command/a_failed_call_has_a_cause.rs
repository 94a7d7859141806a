//! A failed call ends with exit code 1 and one line with the cause; invalid arguments with exit code 2.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use crate::common::{Folder, Running, assert_one_line, free_port, node_with_service, outcome, output};
use skyring::{Answer, Context, Error, Message, Service};

/// Runs a server of another kind than a node, and returns its address.
fn spawn_server(serve: impl FnOnce(TcpListener) + Send + 'static) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("it has an address");
    thread::spawn(move || serve(listener));
    address.to_string()
}

#[test]
fn an_unknown_command_or_service_is_named() {
    let (_folder, _node, address) = Running::db();
    let failed = output(["call", "--addr", &address, "@sdb", "DELETE", "name"]);
    assert_one_line(&failed, 1, "error: unknown command DELETE");
    let failed = output(["call", "--addr", &address, "@nobody", "GET"]);
    assert_one_line(&failed, 1, "error: no-such-service: @nobody");
    let failed = output(["call", "--addr", &address, ":00ffffff", "GET"]);
    assert_one_line(&failed, 1, "error: no-such-service: :00ffffff");
}

#[test]
fn an_error_of_several_lines_is_reported_in_one() {
    struct Traceback;
    impl Service for Traceback {
        fn handle(&mut self, _context: &Context<Self>, _message: Message) -> Answer {
            Answer::error(Error::remote("boom\nstack traceback:\n\t\x1b[31mmain.lua:7"))
        }
    }
    let (_node, address) = node_with_service("main", || Traceback);
    let failed = output(["call", "--addr", &address, "@main", "run"]);
    assert_one_line(
        &failed,
        1,
        r"error: boom\nstack traceback:\n\t\u{1b}[31mmain.lua:7",
    );
}

#[test]
fn a_node_that_does_not_run_is_unreachable_long_before_the_timeout() {
    let address = format!("127.0.0.1:{}", free_port());
    // The timeout is an hour: the test ends only because the call does not wait for it.
    for options in [&[][..], &["--send"]] {
        let mut arguments = vec!["call", "--timeout", "3600", "--addr", &address];
        arguments.extend(options);
        arguments.extend(["@sdb", "GET", "name"]);
        let failed = output(arguments);
        assert_one_line(&failed, 1, "error: unreachable: node ");
        assert_one_line(&failed, 1, "Connection refused");
    }
}

#[test]
fn a_host_that_cannot_be_resolved_is_named() {
    let failed = output([
        "call",
        "--addr",
        "no-such-host.invalid:7102",
        "@sdb",
        "GET",
        "name",
    ]);
    assert_one_line(&failed, 1, "no-such-host.invalid");
}

#[test]
fn a_node_that_does_not_answer_fails_the_call_at_the_timeout() {
    let address = spawn_server(|silent| {
        // Holds the connections until the test process ends.
        let _connections: Vec<_> = silent.incoming().collect();
    });
    for options in [&[][..], &["--send"]] {
        let mut arguments = vec!["call", "--addr", &address, "--timeout", "0.3"];
        arguments.extend(options);
        arguments.extend(["@sdb", "GET", "name"]);
        assert_one_line(&output(arguments), 1, "it has not answered the hello");
    }
}

#[test]
fn a_node_that_closes_the_connection_is_unreachable() {
    let address = spawn_server(|closing| {
        for connection in closing.incoming().flatten() {
            // Read before the close, so that the close is no reset.
            let mut connection = connection;
            let _ = connection.read(&mut [0; 1024]);
        }
    });
    let failed = output([
        "call",
        "--addr",
        &address,
        "--timeout",
        "0.5",
        "@sdb",
        "GET",
        "name",
    ]);
    assert_one_line(&failed, 1, "error: unreachable: node ");
    assert_one_line(&failed, 1, "closed by the peer, before it answered the hello");
}

#[test]
fn a_server_of_another_protocol_fails_the_call() {
    let address = spawn_server(|web| {
        let mut open = Vec::new();
        for mut connection in web.incoming().flatten() {
            let _ = connection.read(&mut [0; 1024]);
            let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
            // The connection stays open, so that only the bytes can end the call.
            open.push(connection);
        }
    });
    let arguments = [
        "call",
        "--addr",
        &address,
        "--timeout",
        "2",
        "@sdb",
        "GET",
        "name",
    ];
    let failed = output(arguments);
    assert_eq!(failed.status.code(), Some(1));
    assert_one_line(&failed, 1, "error: ");
}

#[test]
fn a_node_that_is_not_in_the_map_is_named_with_the_known_nodes() {
    let folder = Folder::new();
    let map = folder.write("map.lua", "db = '127.0.0.1:1'\ngate = '127.0.0.1:2'\nold = false");
    let map = map.to_str().expect("a path of text");
    let failed = output(["call", "--map", map, "dbx", "@sdb", "GET", "name"]);
    assert_one_line(&failed, 1, "absent: node dbx is not in the cluster map ");
    assert_one_line(&failed, 1, "map.lua, which has db, gate, old");
    let failed = output(["call", "--map", map, "old", "@sdb", "GET", "name"]);
    assert_one_line(
        &failed,
        1,
        "error: disabled: node old is turned off in the cluster map",
    );
}

#[test]
fn invalid_arguments_and_files_are_exit_code_2() {
    let folder = Folder::new();
    let map = folder.write("map.lua", "db = '127.0.0.1:1'");
    let wrong = folder.write("wrong.lua", "db = 7102");
    let alone = folder.write("config", "thread = 1");
    let [map, wrong, alone] = [&map, &wrong, &alone].map(|path| path.to_str().expect("a path of text"));
    for (arguments, part) in [
        (
            &["--addr", "127.0.0.1:1", "sdb", "GET"][..],
            "\"sdb\" is not the address of a service: @name",
        ),
        (&["--addr", "127.0.0.1:1", "@sdb"], "CMD is missing"),
        (&["--map", map, "db"], "ADDRESS is missing"),
        (&["--map", map, "db", "@sdb"], "CMD is missing"),
        (
            &["--map", "no-such-map.lua", "db", "@sdb", "GET"],
            "no-such-map.lua: no such file",
        ),
        (&["--map", wrong, "db", "@sdb", "GET"], "wrong.lua: db: "),
        (&["--map", alone, "db", "@sdb", "GET"], "names no cluster map"),
    ] {
        let failed = output(["call"].iter().chain(arguments));
        assert_one_line(&failed, 2, part);
    }
    // The parser of the command line adds its usage.
    for (arguments, part) in [
        (&["@sdb", "GET"][..], "--map <FILE>|--addr <HOST:PORT>"),
        (&["--addr", "127.0.0.1", "@sdb", "GET"], "expected \"host:port\""),
        (
            &["--addr", "h:1", "--map", map, "@sdb", "GET"],
            "cannot be used with",
        ),
        (
            &["--addr", "h:1", "--timeout", "-1", "@sdb", "GET"],
            "expected seconds",
        ),
        (
            &["--addr", "h:1", "--timeout", "0.0001", "@sdb", "GET"],
            "expected seconds",
        ),
        (
            &["--addr", "h:1", "--timeout", "nan", "@sdb", "GET"],
            "expected seconds",
        ),
    ] {
        let (code, _, error) = outcome(&output(["call"].iter().chain(arguments)));
        assert_eq!(code, Some(2), "{error}");
        assert!(
            error.contains(part) && !error.contains("panicked"),
            "{part:?} is not in: {error}"
        );
    }
}
