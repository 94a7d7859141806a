//! Certificate watch: the files of a node's certificate are read again when they have changed, and an expiry that is
//! near is told each day.
//!
//! They are looked at as a map file is. Invariant: files that cannot be used change nothing, and are reported once, not
//! at each look.

use tokio::sync::watch;

use super::file_watch::LOOK_PERIOD;
use crate::control::Outlet;
use crate::file_mark::{Changes, mark};
use crate::tls::Tls;

/// Looks in a day.
const LOOKS_PER_DAY: u64 = 24 * 60 * 60 * 1_000 / LOOK_PERIOD.as_millis() as u64;

/// Watches the files until the node stops.
pub(crate) async fn watch(outlet: Outlet, mut stop: watch::Receiver<bool>, tls: Tls) {
    let marks = |tls: &Tls| tls.files().all().map(mark);
    let mut changes = Changes::new(marks(&tls));
    let mut looks = 0u64;
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(LOOK_PERIOD) => {}
        }
        looks += 1;
        let is_due = looks.is_multiple_of(LOOKS_PER_DAY);
        let (outlet, tls) = (outlet.clone(), tls.clone());
        // Files may be on a network.
        let look = tokio::task::spawn_blocking(move || {
            if changes.see(marks(&tls)) && changes.are_new() {
                outlet.reload_certificates();
                changes.accept();
            } else if is_due {
                tls.warnings().iter().for_each(|warning| outlet.log(warning));
            }
            changes
        });
        let Ok(looked) = look.await else {
            // The runtime ends.
            return;
        };
        changes = looked;
    }
}
