//! A matchmaker: it puts two players who wait into one match.
//!
//! Players come and go: a game that asked for a match may be gone when there is an opponent. So a match begins in two steps.
//! The matchmaker offers it to both, and it begins when both have accepted in time; otherwise who has accepted waits again, in
//! front of the others.
//!
//! Invariants: a player is offered one match at a time; a match that begins has been accepted by two different players.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skyring::{Caller, Context, Error};

/// How long a player may take to accept.
pub const ACCEPT_TIME_MAX: Duration = Duration::from_secs(2);

/// Most players that wait.
pub const PLAYERS_MAX: usize = 10_000;

/// Where a player stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Nobody knows the player: join first. So it is after a restart of the matchmaker, too.
    Absent,
    /// The player waits for an opponent.
    Waiting,
    /// There is an opponent: accept the match with this number.
    Offered(u64),
    /// The player has accepted, and the opponent has not yet.
    Accepted(u64),
    /// The match has begun.
    Playing {
        /// Its number.
        number: u64,
        /// The other player.
        opponent: String,
    },
}

/// A match that is offered.
struct Offer {
    players: [String; 2],
    has_accepted: [bool; 2],
}

/// The matchmaker.
#[derive(Default)]
pub struct Matchmaker {
    /// Begins the matches at once, as one does at first.
    is_hasty: bool,
    last_number: u64,
    waiting: VecDeque<String>,
    offers: BTreeMap<u64, Offer>,
    standings: BTreeMap<String, Standing>,
}

#[skyring::service]
impl Matchmaker {
    /// Has a player wait for an opponent; once is enough. Answers with where the player stands.
    pub fn join(&mut self, context: &Context<Self>, player: &str) -> Standing {
        if self.standings.contains_key(player) || self.standings.len() >= PLAYERS_MAX {
            return self.standing(player);
        }
        self.waiting.push_back(player.to_owned());
        self.standings.insert(player.to_owned(), Standing::Waiting);
        self.pair(context);
        self.standing(player)
    }

    /// Where a player stands.
    pub fn standing(&self, player: &str) -> Standing {
        self.standings.get(player).cloned().unwrap_or(Standing::Absent)
    }

    /// Accepts a match that was offered. Answers with where the player stands now.
    pub fn accept(&mut self, player: &str, number: u64) -> Standing {
        let Some(offer) = self.offers.get_mut(&number) else {
            return self.standing(player);
        };
        let Some(index) = offer.players.iter().position(|offered| offered == player) else {
            return self.standing(player);
        };
        offer.has_accepted[index] = true;
        self.standings
            .insert(player.to_owned(), Standing::Accepted(number));
        if offer.has_accepted == [true, true] {
            self.begin(number);
        }
        self.standing(player)
    }

    /// Forgets a player, whose match is over, or who does not want to wait any more.
    pub fn leave(&mut self, player: &str) {
        self.standings.remove(player);
        self.waiting.retain(|waiting| waiting != player);
    }
}

impl Matchmaker {
    /// The matchmaker that one writes first: as soon as two wait, their match begins, whether they are still there or not.
    pub fn hasty() -> Matchmaker {
        Matchmaker {
            is_hasty: true,
            ..Matchmaker::default()
        }
    }

    /// Offers matches to those who wait.
    fn pair(&mut self, context: &Context<Self>) {
        while self.waiting.len() >= 2 {
            let (Some(first), Some(second)) = (self.waiting.pop_front(), self.waiting.pop_front()) else {
                return;
            };
            self.last_number += 1;
            let number = self.last_number;
            for player in [&first, &second] {
                self.standings.insert(player.clone(), Standing::Offered(number));
            }
            let offer = Offer {
                players: [first, second],
                has_accepted: [false, false],
            };
            self.offers.insert(number, offer);
            if self.is_hasty {
                self.begin(number);
                continue;
            }
            let waiting = context.clone();
            context.spawn(async move {
                waiting.sleep(ACCEPT_TIME_MAX).await;
                let context = waiting.clone();
                waiting.update(|matchmaker| matchmaker.withdraw(&context, number));
            });
        }
    }

    fn begin(&mut self, number: u64) {
        let Some(Offer { players, .. }) = self.offers.remove(&number) else {
            return;
        };
        for (player, opponent) in [(&players[0], &players[1]), (&players[1], &players[0])] {
            let opponent = opponent.clone();
            self.standings
                .insert(player.clone(), Standing::Playing { number, opponent });
        }
    }

    /// An offer's time is over: who has accepted waits again, who has not is gone.
    fn withdraw(&mut self, context: &Context<Self>, number: u64) {
        let Some(offer) = self.offers.remove(&number) else {
            return;
        };
        for (player, has_accepted) in offer.players.into_iter().zip(offer.has_accepted) {
            // A player may have left, and come back, since.
            let is_of_offer = matches!(
                self.standing(&player),
                Standing::Offered(of) | Standing::Accepted(of) if of == number
            );
            if is_of_offer && has_accepted {
                self.standings.insert(player.clone(), Standing::Waiting);
                self.waiting.push_front(player);
            } else if is_of_offer {
                self.standings.remove(&player);
            }
        }
        self.pair(context);
    }
}

/// Opens a matchmaker on the node of the caller, as `@matchmaker`.
///
/// # Errors
/// When the node has one already.
pub async fn open(caller: Caller, matchmaker: Matchmaker) -> Result<(), Error> {
    let matchmaker = caller.launch(move |_| matchmaker).await?;
    caller.cluster().register("matchmaker", Some(matchmaker))
}

/// What the game of a player does: joins, asks until there is an offer, accepts it, and returns the number of the match and the
/// opponent when that begins. It goes on when the matchmaker is restarted; it gives up after so many questions.
pub async fn find_match(
    matchmaker: &MatchmakerClient,
    caller: &Caller,
    player: &str,
    pause: Duration,
    questions_max: usize,
) -> Option<(u64, String)> {
    for _ in 0..questions_max {
        let standing = matchmaker.standing(player).idempotent().await;
        let standing = match standing {
            Ok(Standing::Absent) => matchmaker.join(player).await,
            Ok(Standing::Offered(number)) => matchmaker.accept(player, number).await,
            other => other,
        };
        match standing {
            Ok(Standing::Playing { number, opponent }) => return Some((number, opponent)),
            // It waits, or the matchmaker is not there at the moment.
            Ok(_) | Err(_) => caller.sleep(pause).await,
        }
    }
    None
}
