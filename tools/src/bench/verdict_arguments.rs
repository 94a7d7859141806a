//! Arguments that every command with a verdict has.

use skyring_bench::verdict::Figure;

/// Bounds of `--margin`, in percent.
const MARGIN_MIN: f64 = 0.1;
const MARGIN_MAX: f64 = 100.0;

/// A difference that does not matter.
pub(super) fn margin(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if (MARGIN_MIN..=MARGIN_MAX).contains(&percent) => Ok(percent),
        _ => Err(format!("expected a percentage, {MARGIN_MIN} to {MARGIN_MAX}")),
    }
}

/// The figure that decides.
pub(super) fn figure(name: &str) -> Result<Figure, String> {
    Figure::named(name).ok_or_else(|| {
        let names = Figure::ALL.map(Figure::name);
        format!("expected one of {}", names.join(", "))
    })
}
