//! The normal distribution function, from a table.

use std::sync::LazyLock;

const REACH: f64 = 8.0;
const STEPS: usize = 2_048;

/// Φ at equal steps from −8 to 8: the density integrated by Simpson's rule. Only multiplications and additions, which
/// every machine rounds alike: what is looked at must not depend on a library's `exp`.
static TABLE: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let half = REACH / STEPS as f64;
    let density = |z: f64| exp(-0.5 * z * z);
    let mut sum = 0.0;
    let mut table = vec![0.0];
    for step in 0..STEPS {
        let z = -REACH + 2.0 * half * step as f64;
        sum += (density(z) + 4.0 * density(z + half) + density(z + 2.0 * half)) * half / 3.0;
        table.push(sum);
    }
    table.iter().map(|value| (value / sum) as f32).collect()
});

/// eˣ for x ≤ 0, by halving x until its series is short.
fn exp(x: f64) -> f64 {
    let small = x / 1_024.0;
    let series = 1.0 + small * (1.0 + small * (0.5 + small * (1.0 / 6.0 + small * (1.0 / 24.0 + small / 120.0))));
    (0..10).fold(series, |power, _| power * power)
}

/// The share of a normal distribution below `z`.
pub(super) fn below(z: f32) -> f32 {
    let place = (z + REACH as f32) * (STEPS as f32 / (2.0 * REACH as f32));
    TABLE[place.clamp(0.0, STEPS as f32) as usize]
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn known_values() {
        for (z, share) in [(-9.0, 0.0), (-1.959_964, 0.025), (0.0, 0.5), (1.0, 0.841_344_7), (9.0, 1.0)] {
            assert!((below(z) - share).abs() < 2e-3, "{z}: {}", below(z));
        }
    }
}
