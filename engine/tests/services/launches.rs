//! The caller that launches a service gets the outcome of its start.

use skyring::{Answer, Context, Error, Kinds, Message, Service};

use crate::handler::Handler;
use crate::node::{TIMEOUT, run};
use crate::start::{builder, start};

/// Fails to start, with an error or a panic.
struct Reluctant {
    panics: bool,
}

impl Service for Reluctant {
    fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
        context.name("reluctant")?;
        assert!(!self.panics, "start of lead");
        Err(Error::remote("no database, no service"))
    }

    fn handle(&mut self, _context: &Context<Self>, _message: Message) -> Answer {
        Answer::now(&())
    }
}

#[test]
fn an_error_of_a_start_reaches_the_launcher_and_leaves_no_service() {
    let node = start(4);
    run(&node, |caller| async move {
        for _ in 0..8 {
            let error = caller.launch(|_| Reluctant { panics: false }).await.unwrap_err();
            assert_eq!(error, Error::remote("no database, no service"));
            assert_eq!(caller.find(".reluctant"), None);
        }
    });
}

#[test]
fn a_panic_of_a_start_reaches_the_launcher_and_leaves_no_service() {
    let node = start(4);
    run(&node, |caller| async move {
        for _ in 0..8 {
            let error = caller.launch(|_| Reluctant { panics: true }).await.unwrap_err();
            assert!(error.to_string().contains("start of lead"), "{error}");
            assert_eq!(caller.find(".reluctant"), None);
        }
        let error = caller
            .launch::<Reluctant, _>(|_| panic!("maker of lead"))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("maker of lead"), "{error}");
    });
}

#[test]
fn a_kind_gets_its_arguments_and_an_unknown_kind_is_an_error_that_lists_the_kinds() {
    let kinds = Kinds::default().add("parrot", |arguments| {
        if arguments.is_empty() {
            return Err(Error::remote("a parrot needs words"));
        }
        let words = arguments.to_owned();
        Ok(Handler(move |_: &skyring::Caller, _| Answer::now(words.as_str())))
    });
    let node = builder(3).kinds(kinds).start().expect("a node starts");
    run(&node, |caller| async move {
        for _ in 0..6 {
            let parrot = caller
                .launch_kind("parrot", "hello  you")
                .await
                .expect("a parrot");
            let reply = caller
                .call(parrot, &())
                .timeout(TIMEOUT)
                .await
                .expect("an answer");
            assert_eq!(reply.unpack::<&str>().expect("a text"), "hello  you");
            let error = caller.launch_kind("parrot", "").await.unwrap_err();
            assert_eq!(error, Error::remote("a parrot needs words"));
        }
        let error = caller.launch_kind("dragon", "").await.unwrap_err().to_string();
        assert!(error.contains("dragon") && error.contains("parrot"), "{error}");
    });
}

#[test]
fn a_service_can_exit_in_its_start() {
    struct Brief;
    impl Service for Brief {
        fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
            context.exit();
            Ok(())
        }

        fn handle(&mut self, _context: &Context<Self>, _message: Message) -> Answer {
            Answer::now(&())
        }
    }
    let node = start(2);
    run(&node, |caller| async move {
        for _ in 0..4 {
            let brief = caller.launch(|_| Brief).await.expect("it started");
            let error = caller.call(brief, &()).timeout(TIMEOUT).await.unwrap_err();
            assert_eq!(error.code(), "no-such-service");
        }
    });
}
