//! Switches the codec's deliberate bugs on, for the commands that are to find them.

/// Switches a deliberate bug on in this thread, or none.
///
/// # Errors
/// When there is no bug of that name; the text lists them.
#[cfg(feature = "faults")]
pub(crate) fn inject(name: Option<&str>) -> Result<(), String> {
    use skyring_codec::faults::{Fault, inject};
    let Some(name) = name else { return Ok(()) };
    let all = Fault::ALL.map(|fault| format!("{fault:?}"));
    let known = all.iter().position(|known| known == name);
    let known = known.ok_or_else(|| format!("there is no fault {name:?}; there are {}", all.join(", ")))?;
    inject(Some(Fault::ALL[known]));
    Ok(())
}

/// An ordinary build has none.
#[cfg(not(feature = "faults"))]
pub(crate) fn inject(name: Option<&str>) -> Result<(), String> {
    match name {
        None => Ok(()),
        Some(_) => {
            Err("--fault needs the feature: cargo run -p skyring-codec --features faults ...".to_owned())
        }
    }
}
