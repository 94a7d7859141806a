//! Which processor each shard is pinned to: round-robin over the processors that the process may use.

use std::io;

use super::sys;

/// The processor of each of `shards` shards, beginning with the `first` of those allowed. With more shards
/// than processors several share one.
pub(crate) fn assign(shards: usize, first: usize) -> io::Result<Vec<usize>> {
    let allowed = sys::allowed_cpus()?;
    if allowed.is_empty() {
        return Err(io::Error::other("the kernel allows this process no processor"));
    }
    Ok(allowed
        .iter()
        .copied()
        .cycle()
        .skip(first % allowed.len())
        .take(shards)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_shards_than_processors_share_them_in_turn() {
        let allowed = sys::allowed_cpus().unwrap();
        let assigned = assign(allowed.len() * 2 + 1, 0).unwrap();
        assert_eq!(assigned.len(), allowed.len() * 2 + 1);
        assert_eq!(&assigned[..allowed.len()], &allowed[..]);
        assert_eq!(assigned[allowed.len()], allowed[0]);
    }
}
