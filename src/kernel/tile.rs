//! Blocked products: fast, and within a known bound of the distance that decides.
