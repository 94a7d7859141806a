//! A service that takes the log lines gets them as messages from the services that wrote them.

use std::sync::{Arc, Mutex};

use skyring::{Answer, Context, Error, Kind, Kinds, Message, Service, StartError};

use crate::node::{run, wait_until};
use crate::start::builder;

/// The lines and signals so far, as kind, source and text.
type Lines = Arc<Mutex<Vec<(u8, u32, String)>>>;

struct Collector {
    lines: Lines,
    fails: bool,
}

impl Service for Collector {
    fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
        assert_eq!(context.handle().0, 1, "the first handle, as in Skynet");
        if self.fails {
            return Err(Error::remote("no space for lines"));
        }
        Ok(())
    }

    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        let text = String::from_utf8_lossy(&message.payload.0).into_owned();
        if text == "last" {
            context.exit();
        }
        self.lines.lock().expect("no test panics with the lock").push((
            message.kind.0,
            message.source.0,
            text,
        ));
        Answer::none()
    }
}

fn kinds(lines: &Lines) -> Kinds {
    let lines = Arc::clone(lines);
    Kinds::default().add("collector", move |arguments| {
        Ok(Collector {
            lines: Arc::clone(&lines),
            fails: arguments == "fails",
        })
    })
}

#[test]
fn lines_of_services_and_of_the_node_arrive_in_order_and_a_reopening_is_a_signal() {
    let lines = Lines::default();
    let node = builder(3)
        .kinds(kinds(&lines))
        .log_service("collector", "a b")
        .start()
        .expect("a node");
    node.log("of the node");
    let handle = run(&node, |caller| async move {
        assert_eq!(caller.find(".logger").map(|handle| handle.0), Some(1));
        for number in 0..100 {
            caller.log(format_args!("line {number}"));
        }
        caller.log_bytes(b"\xc4\xe3");
        caller.handle().0
    });
    let count = |wanted: &dyn Fn(&(u8, u32, String)) -> bool| {
        let lines = lines.lock().expect("no test panics with the lock");
        lines.iter().filter(|line| wanted(line)).count()
    };
    wait_until("the lines arrive", || count(&|line| line.1 == handle) == 101);
    {
        let lines = lines.lock().expect("no test panics with the lock");
        let own: Vec<&str> = lines
            .iter()
            .filter(|line| line.0 == Kind::TEXT.0 && line.1 == handle)
            .map(|line| line.2.as_str())
            .collect();
        let expected: Vec<String> = (0..100).map(|number| format!("line {number}")).collect();
        assert_eq!(own[..100], expected);
        assert_eq!(own[100], "\u{fffd}\u{fffd}");
        assert!(lines.contains(&(Kind::TEXT.0, 0, "of the node".to_owned())));
    }
    node.reopen_log();
    wait_until("the signal arrives", || {
        count(&|line| *line == (Kind::SYSTEM.0, 0, String::new())) == 1
    });
    // After its end nothing waits for it.
    node.log("last");
    wait_until("it has ended", || {
        run(&node, |caller| async move { caller.find(".logger").is_none() })
    });
    node.log("after the end");
    node.stop();
}

#[test]
fn a_node_whose_log_service_does_not_start_does_not_start() {
    let lines = Lines::default();
    for (kind, arguments, cause) in [
        ("collector", "fails", "no space for lines"),
        ("syslog", "", "there is no service kind \"syslog\""),
    ] {
        let node = builder(2).kinds(kinds(&lines)).log_service(kind, arguments);
        let error = node.start().err().expect("no node");
        assert!(
            matches!(&error, StartError::Service { what, .. } if what == "logservice"),
            "{error}"
        );
        assert!(error.to_string().contains(cause), "{error}");
    }
}
