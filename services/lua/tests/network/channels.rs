//! `skynet.socketchannel`: requests of many coroutines over one connection, which is opened again when it breaks.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};

use crate::support::{send, start};

/// A server on its own thread: `serve` gets each connection, one after the other.
fn server(serve: impl Fn(usize, TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            serve(number, stream.expect("a connection"));
        }
    });
    port
}

fn lines(stream: &TcpStream) -> impl Iterator<Item = String> + use<> {
    BufReader::new(stream.try_clone().expect("a descriptor"))
        .lines()
        .map_while(Result::ok)
}

/// A server that answers each line with this prefix and the line.
fn line_server(prefix: &'static str) -> u16 {
    server(move |_, mut stream| {
        for line in lines(&stream) {
            send(&mut stream, format!("{prefix}{line}\n").as_bytes());
        }
    })
}

/// Functions for the programs: `line` reads an answer, `together` runs coroutines and waits for all.
const HEAD: &str = "local channel = require 'skynet.socketchannel'
    local function line(reader)
        return true, reader:readline '\\n'
    end
    local function together(count, work)
        local left, me = count, coroutine.running()
        for number = 1, count do
            skynet.fork(function()
                work(number)
                left = left - 1
                if left == 0 then skynet.wakeup(me) end
            end)
        end
        skynet.wait(me)
    end\n";

#[test]
fn without_sessions_answers_belong_to_requests_in_order() {
    let port = line_server("answer to ");
    let main = format!(
        "{HEAD}
        local c = channel.channel {{ host = '127.0.0.1', port = {port} }}
        together(100, function(number)
            assert(c:request(number .. '\\n', line) == 'answer to ' .. number)
        end)
        c:close()
        assert(not pcall(c.request, c, 'late\\n', line))"
    );
    start(&main, &[]);
}

#[test]
fn with_sessions_answers_in_any_order_reach_their_requests() {
    let port = server(|_, mut stream| {
        let all: Vec<String> = lines(&stream).take(50).collect();
        for line in all.iter().rev() {
            send(&mut stream, format!("{line}\n").as_bytes());
        }
        let _ = lines(&stream).next();
    });
    let main = format!(
        "{HEAD}
        local c = channel.channel {{
            host = '127.0.0.1', port = {port},
            response = function(reader)
                local session, text = reader:readline('\\n'):match '(%d+) (.*)'
                return tonumber(session), true, text
            end,
        }}
        together(50, function(number)
            assert(c:request(number .. ' text ' .. number .. '\\n', number) == 'text ' .. number)
        end)"
    );
    start(&main, &[]);
}

#[test]
fn a_broken_connection_fails_the_waiting_requests_and_is_opened_again() {
    let port = server(|number, mut stream| {
        for (count, line) in lines(&stream).enumerate() {
            if line == "break" || number == 0 && count == 3 {
                return;
            }
            send(&mut stream, format!("{number} {line}\n").as_bytes());
        }
    });
    let main = format!(
        "{HEAD}
        local c = channel.channel {{ host = '127.0.0.1', port = {port}, auth = function(c)
            assert(c:request('login\\n', line):find 'login')
        end }}
        assert(c:request('a\\n', line) == '0 a')
        assert(c:request('b\\n', line) == '0 b')
        local ok, why = pcall(c.request, c, 'c\\n', line)
        assert(not ok and why == channel.error, tostring(why))
        local ok = pcall(c.request, c, 'd\\n', line)
        assert(ok or c:request('d\\n', line) == '1 d')
        together(10, function() pcall(c.request, c, 'break\\n', line) end)
        local answer
        repeat
            local ok, text = pcall(c.request, c, 'e\\n', line)
            answer = ok and text
        until answer
        assert(answer:match '^%d+ e$', answer)"
    );
    start(&main, &[]);
}

#[test]
fn an_unreachable_host_is_an_error_and_a_backup_is_used() {
    let main = format!(
        "{HEAD}
        local c = channel.channel {{ host = '127.0.0.1', port = 1 }}
        local ok, why = pcall(c.connect, c, true)
        assert(not ok and why == channel.error)
        local backup = channel.channel {{ host = '127.0.0.1', port = 1, backup = {{ {{ host = '127.0.0.1', port = PORT }} }} }}
        assert(backup:request('hi\\n', line) == 'hi')"
    );
    let port = line_server("");
    start(&main.replace("PORT", &port.to_string()), &[]);
}
