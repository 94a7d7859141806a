//! The rules of `.name` and `@name` for services.

use skyring::limits::NAME_BYTES_MAX;
use skyring::{Address, Answer};

use crate::handler::{launch, launch_echo};
use crate::node::run;
use crate::start::start;

#[test]
fn a_local_name_is_given_with_or_without_its_point_and_seen_on_every_shard() {
    let node = start(4);
    run(&node, |caller| async move {
        caller.name("plain").expect("a free name");
        caller.name(".pointed").expect("a second name");
        for _ in 0..8 {
            let asker = launch(&caller, |caller, message| match message.unpack::<&str>() {
                Ok(name) => Answer::now(&caller.find(name).map(|handle| handle.0)),
                Err(error) => Answer::error(error),
            })
            .await;
            for (name, found) in [
                (".plain", Some(caller.handle().0)),
                (".pointed", Some(caller.handle().0)),
                ("@plain", None),
                ("plain", None),
                (".", None),
                ("", None),
            ] {
                let reply = caller.call(asker, name).await.expect("an answer");
                assert_eq!(
                    reply.unpack::<Option<u32>>().expect("a handle or nil"),
                    found,
                    "{name}"
                );
            }
        }
    });
}

#[test]
fn a_name_that_another_service_has_is_refused_and_ones_own_may_be_given_again() {
    let node = start(1);
    run(&node, |caller| async move {
        caller.name("mine").expect("a free name");
        caller.name("mine").expect("its own name");
        let rival = launch(&caller, |caller, _| match caller.name("mine") {
            Ok(()) => Answer::now(&()),
            Err(error) => Answer::error(error),
        })
        .await;
        let error = caller.call(rival, &()).await.unwrap_err().to_string();
        assert!(
            error.contains(".mine") && error.contains(&caller.handle().to_string()),
            "{error}"
        );
        assert_eq!(caller.find(".mine"), Some(caller.handle()));
    });
}

#[test]
fn services_are_reached_by_handle_hex_number_and_both_kinds_of_names() {
    let node = start(3);
    run(&node, |caller| async move {
        for round in 0..4 {
            let echo = launch_echo(&caller).await;
            let registered = format!("@echo{round}");
            caller
                .cluster()
                .register(&registered, Some(echo))
                .expect("a free name");
            let addresses: [Address; 4] = [
                echo.into(),
                echo.to_string().as_str().into(),
                echo.0.to_string().as_str().into(),
                registered.as_str().into(),
            ];
            for address in addresses {
                let reply = caller.call(address.clone(), &round).await.expect("an answer");
                assert_eq!(reply.unpack::<i64>().expect("a number"), round, "{address}");
            }
        }
    });
}

#[test]
fn an_unknown_address_is_no_such_service_and_the_error_names_it() {
    let node = start(3);
    run(&node, |caller| async move {
        for address in [
            ".nobody",
            "@nobody",
            ":00ffffff",
            "nobody",
            "",
            "16777215",
            ":xyz",
        ] {
            let error = caller.call(address, &1).await.unwrap_err();
            assert_eq!(error.code(), "no-such-service", "{address}");
            let shown = Address::from(address).to_string();
            assert_eq!(error.to_string(), format!("no-such-service: {shown}"));
            assert!(!error.may_have_run());
        }
        assert_eq!(caller.send(".nobody", &1).unwrap_err().code(), "no-such-service");
    });
}

#[test]
fn the_length_of_names_is_bounded_and_never_zero() {
    let node = start(1);
    run(&node, |caller| async move {
        let longest = "n".repeat(NAME_BYTES_MAX - 1);
        caller.name(&longest).expect("a name of the longest length");
        assert_eq!(caller.find(&format!(".{longest}")), Some(caller.handle()));
        for name in ["", ".", &"n".repeat(NAME_BYTES_MAX)] {
            assert_eq!(caller.name(name).unwrap_err().code(), "invalid", "{name}");
        }
        for name in ["", "@", &"n".repeat(NAME_BYTES_MAX)] {
            assert_eq!(
                caller.cluster().register(name, None).unwrap_err().code(),
                "invalid",
                "{name}"
            );
        }
    });
}
