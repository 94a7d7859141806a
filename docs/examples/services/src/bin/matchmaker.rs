//! A node with a matchmaker, and games of so many players: `matchmaker [PLAYERS]`.

use std::time::Duration;

use skyring::{ClusterMap, Node};
use skyring_examples::matchmaker::{Matchmaker, MatchmakerClient, find_match, open};

const PAUSE: Duration = Duration::from_millis(20);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let players: usize = std::env::args().nth(1).map_or(Ok(6), |count| count.parse())?;
    let map = ClusterMap::new().with("lobby", "127.0.0.1:7321")?;
    let lobby = Node::builder().name("lobby").map(map.clone()).start()?;
    lobby.block_on(|caller| async move {
        open(caller.clone(), Matchmaker::default()).await?;
        caller.cluster().open("lobby", None).await
    })??;
    let games = Node::builder().map(map).start()?;
    let mut waiting = Vec::new();
    for number in 0..players {
        waiting.push(games.run(move |caller| async move {
            let matchmaker = MatchmakerClient::at(caller.node("lobby"), "@matchmaker");
            let player = format!("player{number}");
            let found = find_match(&matchmaker, &caller, &player, PAUSE, 100).await;
            (player, found)
        })?);
    }
    for game in waiting {
        match game.recv()? {
            (player, Some((number, opponent))) => println!("{player} plays match {number} with {opponent}"),
            (player, None) => println!("{player} has found nobody"),
        }
    }
    Ok(())
}
