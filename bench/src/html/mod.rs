//! Pages of HTML that need nothing else: no script, no font, no other file.

mod chart;
mod latency_chart;
mod measurement_page;
mod page;
mod rate_chart;
mod verdict_page;

pub(crate) use self::page::{escaped, head};
