//! Thrift's compact protocol, as far as it takes to walk over a structure without building it. Nothing is allocated, nothing
//! recurses deeper than [`DEPTH`], and every step takes a byte at least, so that a walk ends.

/// The bytes end early, or are no such structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// What the next value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// In a structure the value is part of the kind.
    True,
    False,
    Byte,
    /// 16, 32 or 64 bits.
    Int,
    Double,
    Binary,
    List,
    Map,
    Struct,
    Uuid,
}

/// Structures inside structures: Parquet has six.
const DEPTH: u32 = 32;

/// A walk over bytes.
pub(super) struct Compact<'a> {
    rest: &'a [u8],
}

impl<'a> Compact<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not yet walked over.
    pub fn rest(&self) -> usize {
        self.rest.len()
    }

    /// Walks over a structure. `on_field` hears of each field, and returns whether it took its value.
    pub fn structure<E: From<Broken>>(
        &mut self,
        mut on_field: impl FnMut(&mut Self, i64, Kind) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut id = 0;
        while let Some((delta, kind)) = self.field()? {
            id = if delta == 0 { self.int()? } else { id.saturating_add(i64::from(delta)) };
            if !on_field(self, id, kind)? {
                self.skip(kind, true, DEPTH)?;
            }
        }
        Ok(())
    }

    /// The kind of a list's elements, and how many there are: never more than the bytes that are left.
    pub fn list(&mut self) -> Result<(Kind, usize), Broken> {
        let head = self.byte()?;
        let count = if head >> 4 == 15 { self.count()? } else { usize::from(head >> 4) };
        match count {
            // Not every writer says of what an empty list has nothing.
            0 => Ok((Kind::Byte, 0)),
            _ if count > self.rest.len() => Err(Broken),
            _ => Ok((kind(head & 15)?, count)),
        }
    }

    /// A zigzag integer.
    pub fn int(&mut self) -> Result<i64, Broken> {
        let bits = self.varint()?;
        Ok((bits >> 1) as i64 ^ -((bits & 1) as i64))
    }

    /// Of the next field, how far its number is from the last one's, where that is told, and its kind; `None` after the last.
    fn field(&mut self) -> Result<Option<(u8, Kind)>, Broken> {
        match self.byte()? {
            0 => Ok(None),
            head => Ok(Some((head >> 4, kind(head & 15)?))),
        }
    }

    fn skip(&mut self, what: Kind, in_structure: bool, depth: u32) -> Result<(), Broken> {
        let depth = depth.checked_sub(1).ok_or(Broken)?;
        match what {
            Kind::True | Kind::False if in_structure => Ok(()),
            Kind::True | Kind::False | Kind::Byte => self.take(1),
            Kind::Int => self.varint().map(|_| ()),
            Kind::Double => self.take(8),
            Kind::Uuid => self.take(16),
            Kind::Binary => {
                let length = self.count()?;
                self.take(length)
            }
            Kind::List => {
                let (element, count) = self.list()?;
                (0..count).try_for_each(|_| self.skip(element, false, depth))
            }
            Kind::Map => {
                let count = self.count()?;
                if count == 0 {
                    return Ok(());
                }
                let kinds = self.byte()?;
                let (key, value) = (kind(kinds >> 4)?, kind(kinds & 15)?);
                (0..count).try_for_each(|_| {
                    self.skip(key, false, depth)?;
                    self.skip(value, false, depth)
                })
            }
            Kind::Struct => {
                while let Some((delta, kind)) = self.field()? {
                    if delta == 0 {
                        self.int()?;
                    }
                    self.skip(kind, true, depth)?;
                }
                Ok(())
            }
        }
    }

    fn byte(&mut self) -> Result<u8, Broken> {
        let (&first, rest) = self.rest.split_first().ok_or(Broken)?;
        self.rest = rest;
        Ok(first)
    }

    fn take(&mut self, bytes: usize) -> Result<(), Broken> {
        self.rest = self.rest.get(bytes..).ok_or(Broken)?;
        Ok(())
    }

    fn count(&mut self) -> Result<usize, Broken> {
        usize::try_from(self.varint()?).map_err(|_| Broken)
    }

    fn varint(&mut self) -> Result<u64, Broken> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Ok(value);
            }
        }
        Err(Broken)
    }
}

fn kind(code: u8) -> Result<Kind, Broken> {
    Ok(match code {
        1 => Kind::True,
        2 => Kind::False,
        3 => Kind::Byte,
        4..=6 => Kind::Int,
        7 => Kind::Double,
        8 => Kind::Binary,
        9 | 10 => Kind::List,
        11 => Kind::Map,
        12 => Kind::Struct,
        13 => Kind::Uuid,
        _ => return Err(Broken),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_taken_and_the_rest_walked_over() {
        // 1: i32 −3; 2: list of two i32; 3: text; 4: true; 5: a structure with a map; 300: i64 7.
        let bytes = [
            0x15, 0x05, 0x19, 0x25, 0x02, 0x04, 0x18, 0x02, b'h', b'i', 0x11, 0x1c, 0x1b, 0x01, 0x85, 0x01, b'k', 0x02,
            0x00, 0x06, 0xd8, 0x04, 0x0e, 0x00, 0xff,
        ];
        let mut walk = Compact::new(&bytes);
        let mut seen = Vec::new();
        walk.structure::<Broken>(|walk, id, kind| {
            let value = if kind == Kind::Int { Some(walk.int()?) } else { None };
            seen.push((id, value));
            Ok(value.is_some())
        })
        .unwrap();
        assert_eq!(seen, [(1, Some(-3)), (2, None), (3, None), (4, None), (5, None), (300, Some(7))]);
        assert_eq!(walk.rest(), 1);
        for end in 0..bytes.len() - 1 {
            assert_eq!(Compact::new(&bytes[..end]).structure(|_, _, _| Ok(false)), Err(Broken), "{end} bytes");
        }
    }

    #[test]
    fn a_structure_that_claims_or_nests_too_much_is_broken() {
        let skip = |bytes: &[u8]| Compact::new(bytes).structure(|_, _, _| Ok::<_, Broken>(false));
        assert_eq!(skip(&[0x19, 0xfc, 0xff, 0xff, 0xff, 0x7f, 0x00]), Err(Broken), "a list of billions");
        assert_eq!(skip(&[0x18, 0xff, 0xff, 0xff, 0xff, 0x0f]), Err(Broken), "a text of gigabytes");
        assert_eq!(
            skip(&[0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            Err(Broken),
            "an integer"
        );
        assert_eq!(skip(&[0x1e]), Err(Broken), "no such kind");
        let nested = |depth: usize| [vec![0x1c; depth], vec![0; depth + 1]].concat();
        assert_eq!(skip(&nested(20)), Ok(()));
        assert_eq!(skip(&nested(100_000)), Err(Broken), "structures in structures");
    }
}
