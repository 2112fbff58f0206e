//! Codecs that unpack for as long as there is something, whatever the page's header says: a few bytes may become gigabytes. Their pages
//! are unpacked once more, into nothing, and only up to what they claim.

use std::io::{BufRead, ErrorKind, Read};

use brotli::Decompressor;
use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;
use parquet::basic::Compression;

/// Unpacked at a time.
const STEP: usize = 64 << 10;

/// Whether `packed` unpacks to more than `claimed` bytes. Bytes that cannot be unpacked end it: a decoder stops there too.
pub(super) fn is_heavier(codec: Compression, packed: impl BufRead, claimed: u64) -> bool {
    match codec {
        Compression::GZIP(_) => exceeds(MultiGzDecoder::new(packed), claimed),
        Compression::BROTLI(_) => exceeds(Decompressor::new(packed, STEP), claimed),
        // Hadoop's frames say how long they are; where they make no sense, decoders try plain frames, which do not.
        Compression::LZ4 => exceeds(FrameDecoder::new(packed), claimed),
        // Decoded into what the header claims, and no further.
        _ => false,
    }
}

fn exceeds(mut unpacked: impl Read, claimed: u64) -> bool {
    let (mut bytes, mut sum) = (vec![0; STEP], 0u64);
    while sum <= claimed {
        match unpacked.read(&mut bytes) {
            Ok(0) => return false,
            Ok(count) => sum += count as u64,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;
    use lz4_flex::frame::FrameEncoder;
    use parquet::basic::{BrotliLevel, GzipLevel};

    use super::*;

    #[test]
    fn more_than_claimed_is_told_from_as_much() {
        let plain = vec![7u8; 200_000];
        let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&plain).unwrap();
        let mut twice = gzip.finish().unwrap();
        twice.extend_from_within(..);
        let mut lz4 = FrameEncoder::new(Vec::new());
        lz4.write_all(&plain).unwrap();
        let mut brotli = Vec::new();
        brotli::CompressorWriter::new(&mut brotli, STEP, 5, 22).write_all(&plain).unwrap();

        let (gzip, brotlis) = (Compression::GZIP(GzipLevel::default()), Compression::BROTLI(BrotliLevel::default()));
        for (codec, packed, size) in
            [(gzip, twice, 400_000), (brotlis, brotli, 200_000), (Compression::LZ4, lz4.finish().unwrap(), 200_000)]
        {
            assert!(!is_heavier(codec, &packed[..], size), "{codec}");
            assert!(is_heavier(codec, &packed[..], size - 1), "{codec}");
            assert!(is_heavier(codec, &packed[..], 0), "{codec}");
            assert!(!is_heavier(codec, &b"nonsense"[..], 0), "{codec}");
            assert!(!is_heavier(Compression::SNAPPY, &packed[..], 0));
        }
    }
}
