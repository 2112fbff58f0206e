//! The header of an array in numpy's own format (NEP 1, versions 1 to 3): a Python dict that says what the bytes behind it are.

use std::io::{self, Read};

/// What a header says, believed by nobody yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NpyHeader {
    /// As numpy spells types, `<f4`; of records, the list of their fields.
    pub descr: String,
    /// Column by column, as the transposed array would lie row by row.
    pub fortran_order: bool,
    pub shape: Vec<usize>,
    /// Bytes before the first value.
    pub bytes: u64,
}

/// Why a file has no header of an array; told as what was found.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    #[error("no numpy array")]
    Foreign,
    #[error("a numpy array of version {0}.{1}")]
    Version(u8, u8),
    #[error("a numpy array with a header of {0} bytes")]
    TooLong(u32),
    #[error("a numpy array that ends in its header")]
    Ends,
    #[error("a numpy array with a damaged header")]
    Damaged,
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for HeaderError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Ends,
            _ => Self::Io(error),
        }
    }
}

const MAGIC: &[u8] = b"\x93NUMPY";

/// Version 1 ends here, and only records of many fields need another.
const LARGEST: u32 = 1 << 16;

impl NpyHeader {
    /// Reads a header, and not a byte behind it.
    pub fn read(source: &mut impl Read) -> Result<Self, HeaderError> {
        let mut start = [0; MAGIC.len() + 2];
        match source.read_exact(&mut start) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(HeaderError::Foreign),
            outcome => outcome?,
        }
        let Some(&[major, minor]) = start.strip_prefix(MAGIC) else { return Err(HeaderError::Foreign) };
        let (mut short, mut long) = ([0; 2], [0; 4]);
        let (length, before) = match major {
            1 => {
                source.read_exact(&mut short)?;
                (u32::from(u16::from_le_bytes(short)), start.len() + short.len())
            }
            2 | 3 => {
                source.read_exact(&mut long)?;
                (u32::from_le_bytes(long), start.len() + long.len())
            }
            _ => return Err(HeaderError::Version(major, minor)),
        };
        if length > LARGEST {
            return Err(HeaderError::TooLong(length));
        }
        let mut text = vec![0; length as usize];
        source.read_exact(&mut text)?;
        Self::parse(&String::from_utf8_lossy(&text), before as u64 + u64::from(length)).ok_or(HeaderError::Damaged)
    }

    fn parse(dict: &str, bytes: u64) -> Option<Self> {
        let value = |key: &str| Some(dict.split_once(&format!("'{key}':"))?.1.trim_start());
        let descr = value("descr")?;
        let descr = match descr.strip_prefix('\'') {
            Some(text) => text.split_once('\'')?.0,
            None => &descr[..=descr.strip_prefix('[').and(descr.find(']'))?],
        };
        let order = value("fortran_order")?;
        let fortran_order = order.starts_with("True");
        if !fortran_order && !order.starts_with("False") {
            return None;
        }
        let shape = value("shape")?.strip_prefix('(')?.split_once(')')?.0;
        // Python 2 wrote long integers with an L.
        let sizes = shape.split(',').map(|size| size.trim().trim_end_matches('L')).filter(|size| !size.is_empty());
        let shape = sizes.map(|size| size.parse().ok()).collect::<Option<_>>()?;
        Some(Self { descr: descr.to_owned(), fortran_order, shape, bytes })
    }

    /// As Python writes it: `(3,)`, `(3, 4)`.
    pub fn shape(&self) -> String {
        let sizes: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        let comma = if sizes.len() == 1 { "," } else { "" };
        format!("({}{comma})", sizes.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(version: u8, dict: &str) -> Result<NpyHeader, String> {
        let length = dict.len() as u32;
        let length = if version == 1 { (length as u16).to_le_bytes().to_vec() } else { length.to_le_bytes().to_vec() };
        let bytes = [MAGIC, &[version, 0], &length, dict.as_bytes(), b"values"].concat();
        let mut rest = &bytes[..];
        let header = NpyHeader::read(&mut rest).map_err(|error| error.to_string())?;
        assert_eq!(rest, b"values", "{dict}");
        assert_eq!(header.bytes as usize + rest.len(), bytes.len());
        Ok(header)
    }

    #[test]
    fn every_version_says_the_same() {
        for version in 1..=3 {
            let header = read(version, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   \n").unwrap();
            assert_eq!((header.descr.as_str(), header.fortran_order, header.shape()), ("<f4", false, "(3, 4)".into()));
        }
        let other = read(1, "{'shape':(7L,),'fortran_order':True,'descr':[('a','<f4'),('b','<i8')]}").unwrap();
        assert_eq!((other.shape(), other.fortran_order), ("(7,)".into(), true));
        assert_eq!(other.descr, "[('a','<f4'),('b','<i8')]");
        assert_eq!(read(1, "{'descr': '<f4', 'fortran_order': False, 'shape': ()}").unwrap().shape(), "()");
    }

    #[test]
    fn what_is_no_header_is_told() {
        for dict in [
            "",
            "{'descr': '<f4', 'fortran_order': False}",
            "{'descr': <f4, 'fortran_order': False, 'shape': (3, 4)}",
            "{'descr': [, 'fortran_order': False, 'shape': (3, 4)}",
            "{'descr': '<f4', 'fortran_order': 0, 'shape': (3, 4)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-3, 4)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 4)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4",
        ] {
            assert_eq!(read(1, dict).unwrap_err(), "a numpy array with a damaged header", "{dict}");
        }
        let told = |bytes: &[u8]| NpyHeader::read(&mut &bytes[..]).unwrap_err().to_string();
        assert_eq!(told(b"PAR1"), "no numpy array");
        assert_eq!(told(b"\x93NUMPY\x04\x01xx"), "a numpy array of version 4.1");
        assert_eq!(told(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{"), "a numpy array with a header of 4294967295 bytes");
        assert_eq!(told(b"\x93NUMPY\x01\x00\x10\x00{'descr'"), "a numpy array that ends in its header");
    }
}
