//! The runtime on glommio, for those who choose it.
