//! The matchmaker: in virtual time, and while players, nodes and connections come and go.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use skyring::Error;
use skyring::testing::{Run, Scenario, TestNode};
use skyring_examples::matchmaker::{
    ACCEPT_TIME_MAX, Matchmaker, MatchmakerClient, Standing, find_match, open,
};

const PAUSE: Duration = Duration::from_millis(50);

fn node_with_a_matchmaker() -> Result<TestNode, Error> {
    let node = TestNode::new();
    node.block_on(|caller| open(caller, Matchmaker::default()))?;
    Ok(node)
}

fn join(node: &TestNode, player: &'static str) -> Result<Standing, Error> {
    node.block_on(|caller| async move { MatchmakerClient::at(caller, "@matchmaker").join(player).await })
}

fn accept(node: &TestNode, player: &'static str, number: u64) -> Result<Standing, Error> {
    node.block_on(|caller| async move {
        MatchmakerClient::at(caller, "@matchmaker")
            .accept(player, number)
            .await
    })
}

fn standing(node: &TestNode, player: &'static str) -> Result<Standing, Error> {
    node.block_on(|caller| async move { MatchmakerClient::at(caller, "@matchmaker").standing(player).await })
}

#[test]
fn two_players_who_accept_play() -> Result<(), Error> {
    let node = node_with_a_matchmaker()?;
    assert_eq!(join(&node, "Ada")?, Standing::Waiting);
    assert_eq!(join(&node, "Bob")?, Standing::Offered(1));
    assert_eq!(accept(&node, "Ada", 1)?, Standing::Accepted(1));
    let playing = Standing::Playing {
        number: 1,
        opponent: "Ada".to_owned(),
    };
    assert_eq!(accept(&node, "Bob", 1)?, playing);
    Ok(())
}

#[test]
fn who_has_accepted_waits_again_when_the_other_does_not() -> Result<(), Error> {
    let node = node_with_a_matchmaker()?;
    join(&node, "Ada")?;
    join(&node, "Bob")?;
    accept(&node, "Ada", 1)?;
    node.advance(ACCEPT_TIME_MAX + Duration::from_millis(10));
    assert_eq!(standing(&node, "Ada")?, Standing::Waiting);
    assert_eq!(standing(&node, "Bob")?, Standing::Absent);
    assert_eq!(join(&node, "Cid")?, Standing::Offered(2));
    assert_eq!(standing(&node, "Ada")?, Standing::Offered(2));
    Ok(())
}

/// What the games of one run know: with whom each player plays, and who has gone without a match.
#[derive(Default)]
struct Games {
    playing: BTreeMap<String, String>,
    gone: BTreeMap<String, ()>,
}

/// Players come from two nodes; some lose their patience at once.
fn lobby(run: &mut Run, matchmaker: fn() -> Matchmaker) -> Result<(), Error> {
    run.node("lobby")
        .start(move |caller| open(caller, matchmaker()))?;
    let games: Rc<RefCell<Games>> = Rc::default();
    for node in ["north", "south"] {
        run.node(node).start(|_| async { Ok(()) })?;
        let games = Rc::clone(&games);
        run.operations(node, 10, move |caller, mut operation| {
            let games = Rc::clone(&games);
            async move {
                let matchmaker = MatchmakerClient::at(caller.node("lobby"), "@matchmaker");
                let player = format!("{node}{}", operation.number);
                if operation.random.one_in(4) {
                    // Asks once, and is gone.
                    let _ = matchmaker.join(&player).await;
                    games.borrow_mut().gone.insert(player, ());
                } else if let Some((_, opponent)) =
                    find_match(&matchmaker, &caller, &player, PAUSE, 600).await
                {
                    games.borrow_mut().playing.insert(player, opponent);
                }
            }
        });
    }
    run.always("nobody plays with a player who has gone", move || {
        let games = games.borrow();
        let ghost = games
            .playing
            .iter()
            .find(|(_, opponent)| games.gone.contains_key(*opponent));
        match ghost {
            None => Ok(()),
            Some((player, opponent)) => Err(format!("{player} plays with {opponent}")),
        }
    });
    run.finally(
        "two players find each other at the end",
        "north",
        |caller| async move {
            let matchmaker = MatchmakerClient::at(caller.node("lobby"), "@matchmaker");
            let (one, other) = (caller.clone(), matchmaker.clone());
            one.clone().spawn(async move {
                let _ = find_match(&other, &one, "late", PAUSE, 600).await;
            });
            match find_match(&matchmaker, &caller, "later", PAUSE, 600).await {
                Some(_) => Ok(()),
                None => Err("there was nobody".to_owned()),
            }
        },
    );
    Ok(())
}

fn scenario(matchmaker: fn() -> Matchmaker) -> Scenario {
    Scenario::new("matchmaker", move |run| lobby(run, matchmaker))
}

#[test]
fn a_hasty_matchmaker_has_players_play_with_nobody() {
    let failure = scenario(Matchmaker::hasty)
        .seeds(0..200)
        .explore()
        .expect_err("somebody has gone");
    println!("{failure}");
    assert_eq!(failure.what(), "nobody plays with a player who has gone");
    assert!(failure.operations() <= 2, "{failure}");
}

#[test]
fn a_matchmaker_that_asks_both_keeps_its_promise() {
    scenario(Matchmaker::default).seeds(0..20).check();
}
