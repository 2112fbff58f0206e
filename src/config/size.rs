//! Sizes as people write them.

use bytesize::ByteSize;

/// Nobody means less: a unit was forgotten.
const LEAST: u64 = 1 << 20;

/// Reads `4GiB`, `512MB` or a plain number of bytes; nothing and 0 are no size at all.
///
/// # Errors
/// Text that is none of these, in words that say what would be.
pub fn parse_size(text: &str) -> Result<Option<u64>, String> {
    let text = text.trim();
    let whole = || "expected a size such as \"4GiB\" or \"512MB\"; 0 takes three quarters of the machine's".to_owned();
    let bytes = if text.is_empty() { 0 } else { text.parse::<ByteSize>().map_err(|_| whole())?.as_u64() };
    match bytes {
        0 => Ok(None),
        1..LEAST => Err(format!("is {bytes} bytes, and nothing can be done in so few; give a unit, as in \"4GiB\"")),
        bytes => Ok(Some(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_written() {
        for (text, bytes) in [
            ("4GiB", Some(4 << 30)),
            ("512MB", Some(512_000_000)),
            (" 1.5 GiB ", Some(3 << 29)),
            ("64 mib", Some(64 << 20)),
            ("2000000", Some(2_000_000)),
            ("0", None),
            ("0GB", None),
            ("", None),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text:?}");
        }
        for text in ["lots", "-1GB", "4 potatoes", "GiB", "4GiB2", "10"] {
            assert!(parse_size(text).is_err_and(|told| told.contains("\"4GiB\"")), "{text:?}");
        }
    }
}
