//! Counts, shares and times.

/// Digits in groups of three.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// So many of a noun, which is given in the singular: `1 row`, `1,234 rows`, `0 classes`, `2 queries`.
pub fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{} {}", thousands(count), plural(noun)) }
}

/// Of regular nouns.
fn plural(noun: &str) -> String {
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ if noun.ends_with('s') || noun.ends_with("ch") => format!("{noun}es"),
        _ => format!("{noun}s"),
    }
}

/// `98.8 %`, rounded down: 100 % is said of all and of nothing less. Of nothing it is 0.
pub fn percent(part: u64, whole: u64) -> String {
    let permille = u128::from(part) * 1000 / u128::from(whole.max(1));
    format!("{}.{} %", permille / 10, permille % 10)
}

/// The same of a share from 0 to 1. What a division has left a hair below a step is not taken for less.
pub fn percent_of(share: f64) -> String {
    percent((share * 1000.0 + 1e-6) as u64, 1000)
}

/// As precise as an estimate is.
pub fn roughly(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => "less than a second".to_owned(),
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 600.0 => format!("{s:.0} s"),
        s if s < 36_000.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3_600.0),
    }
}

/// `0.25 s`, `1 min 01 s`, `2 h 05 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..60 => format!("{seconds:.2} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_told_in_the_singular() {
        let told =
            [(0, "class"), (1, "class"), (2, "query"), (1_234, "array"), (1, "row"), (7, "batch"), (2, "triplet")];
        let told = told.map(|(count, noun)| counted(count, noun));
        assert_eq!(told, ["0 classes", "1 class", "2 queries", "1,234 arrays", "1 row", "7 batches", "2 triplets"]);
    }

    #[test]
    fn shares_are_never_rounded_up_to_all() {
        assert_eq!(percent(999_999, 1_000_000), "99.9 %");
        assert_eq!([percent(1, 1), percent(0, 0)], ["100.0 %", "0.0 %"]);
        assert_eq!([0.999_999, 1.0, 0.57, 0.115].map(percent_of), ["99.9 %", "100.0 %", "57.0 %", "11.5 %"]);
    }

    #[test]
    fn numbers_are_told_in_groups_and_times_in_units_that_fit() {
        let told = [0, 999, 1_000, 1_234_567].map(thousands);
        assert_eq!(told, ["0", "999", "1,000", "1,234,567"]);
        let told = [0.04, 1.0, 59.6, 1_200.0, 36_000.0].map(roughly);
        assert_eq!(told, ["less than a second", "1.0 s", "60 s", "20 min", "10.0 h"]);
    }
}
