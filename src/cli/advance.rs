//! How far a stage is, in words.

use std::fmt;
use std::time::Duration;

use indicatif::{HumanBytes, HumanDuration};
use triplet_miner::report::Unit;
use triplet_miner::words::{counted, thousands};

/// Count, share, units a second and time left, as far as they are known. The alternate form (`{:#}`) is the shorter one, beside a bar.
#[derive(Debug, Clone, Copy)]
pub struct Advance {
    pub done: u64,
    pub total: Option<u64>,
    pub unit: Unit,
    /// Units a second.
    pub rate: f64,
}

impl Advance {
    /// Time left, where a total and a rate tell.
    pub fn left(&self) -> Option<Duration> {
        let left = self.total?.checked_sub(self.done).filter(|_| self.rate > 0.0)?;
        // A rate near zero would ask for more time than a duration holds.
        Some(Duration::try_from_secs_f64(left as f64 / self.rate).unwrap_or(Duration::MAX))
    }
}

impl fmt::Display for Advance {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { done, total, unit, rate } = *self;
        if done == 0 {
            return match total {
                Some(total) => write!(f, "{} to do", Amount(total, unit)),
                None => Ok(()),
            };
        }
        match total {
            Some(total) => {
                // Rounded down, as all shares are: 100 % is all.
                let percent = u128::from(done) * 100 / u128::from(total.max(done));
                match f.alternate() {
                    true => write!(f, "{percent} % of {}", Amount(total, unit))?,
                    false => write!(f, "{} of {}, {percent} %", Amount(done, unit).bare(), Amount(total, unit))?,
                }
            }
            None => write!(f, "{}", Amount(done, unit))?,
        }
        if rate > 0.0 {
            write!(f, ", {}/s", Amount(rate.round() as u64, unit).bare())?;
        }
        match self.left() {
            Some(left) => write!(f, ", {:#} left", HumanDuration(left)),
            None => Ok(()),
        }
    }
}

/// A count with its unit.
pub struct Amount(pub u64, pub Unit);

impl Amount {
    /// Without the name of the unit, where it stands beside another amount that has it.
    fn bare(&self) -> String {
        match self.1 {
            Unit::Bytes => HumanBytes(self.0).to_string(),
            Unit::Rows | Unit::Anchors | Unit::Triplets => thousands(self.0),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.1 {
            // A number of bytes says so itself.
            Unit::Bytes => f.write_str(&self.bare()),
            Unit::Rows => f.write_str(&counted(self.0, "row")),
            Unit::Anchors => f.write_str(&counted(self.0, "anchor")),
            Unit::Triplets => f.write_str(&counted(self.0, "triplet")),
        }
    }
}

pub fn name(unit: Unit) -> &'static str {
    match unit {
        Unit::Bytes => "bytes",
        Unit::Rows => "rows",
        Unit::Anchors => "anchors",
        Unit::Triplets => "triplets",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(done: u64, total: impl Into<Option<u64>>, unit: Unit, rate: f64) -> String {
        Advance { done, total: total.into(), unit, rate }.to_string()
    }

    #[test]
    fn an_advance_says_what_is_known() {
        assert_eq!(told(12_000, 70_000, Unit::Anchors, 1_000.0), "12,000 of 70,000 anchors, 17 %, 1,000/s, 58s left");
        assert_eq!(told(12_000, None, Unit::Triplets, 1_000.4), "12,000 triplets, 1,000/s");
        assert_eq!(told(1 << 20, 4 << 20, Unit::Bytes, 1_048_576.0), "1.00 MiB of 4.00 MiB, 25 %, 1.00 MiB/s, 3s left");
        assert_eq!(told(0, 70_000, Unit::Rows, 0.0), "70,000 rows to do");
        assert_eq!(told(0, None, Unit::Rows, 0.0), "");
        assert_eq!(told(0, 1, Unit::Anchors, 0.0), "1 anchor to do");
        assert_eq!(told(999, 1_000, Unit::Rows, 0.0), "999 of 1,000 rows, 99 %");
        let beside_a_bar = Advance { done: 12_000, total: Some(70_000), unit: Unit::Anchors, rate: 1_000.0 };
        assert_eq!(format!("{beside_a_bar:#}"), "17 % of 70,000 anchors, 1,000/s, 58s left");
    }

    #[test]
    fn an_estimate_that_was_too_low_or_a_rate_near_zero_does_no_harm() {
        assert_eq!(told(20, 10, Unit::Rows, 5.0), "20 of 10 rows, 100 %, 5/s");
        assert!(told(1, u64::MAX, Unit::Rows, f64::MIN_POSITIVE).contains("left"));
    }
}
