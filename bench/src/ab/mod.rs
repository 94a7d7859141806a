//! Two programs, or two settings of one, measured in interleaved pairs until the answer is clear.
//!
//! Both sides run at the same time as `skyring bench --windows`: a server and a client each, which measure a window of a
//! tenth of a second when they are asked to and are idle otherwise. A pair is one window of each, in an order that a coin
//! decides. So the two halves of a pair are an eighth of a second apart, which is less than the time in which a shared
//! machine changes its speed. After some pairs both sides are started again, since a start has luck of its own: where its
//! memory lies, and what its hash tables look like.
//!
//! A program that has no `--windows` is started for each measurement instead: the same verdict takes ten times as long.

mod error;
mod machine_watch;
mod plan;
mod profile;
mod result;
mod revision;
mod run;
mod side;

pub use self::error::AbError;
pub use self::plan::{AbPlan, AbSide};
pub use self::profile::{AbProfile, AbProfilePlan, AbProfiled, profile_ab};
pub use self::result::AbResult;
pub use self::revision::{Revision, build_revision, is_revision};
pub use self::run::run_ab;
