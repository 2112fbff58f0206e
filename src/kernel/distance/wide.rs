//! The fixed-order sum by hand, for AVX-512: four rows at a time, so that their chains of additions overlap.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{LANES, Sums};

/// `super::SUMS` takes them only where the processor has AVX-512.
pub(super) const SUMS: [Sums; 2] = [sums::<false>(), sums::<true>()];

const fn sums<const SQUARED: bool>() -> Sums {
    Sums {
        one: |x, y| {
            // SAFETY: as above, the processor has these instructions.
            unsafe { one::<SQUARED>(x, y) }
        },
        many: |x, vectors, rows, sums| {
            // SAFETY: the same.
            unsafe { many::<SQUARED>(x, vectors, rows, sums) }
        },
    }
}

/// A product, or a squared difference.
#[inline]
#[target_feature(enable = "avx512f")]
fn term<const SQUARED: bool>(a: __m512, b: __m512) -> __m512 {
    if SQUARED {
        let difference = _mm512_sub_ps(a, b);
        _mm512_mul_ps(difference, difference)
    } else {
        _mm512_mul_ps(a, b)
    }
}

/// The lanes of some rows, before they are folded.
#[inline]
#[target_feature(enable = "avx512f")]
fn lanes<const SQUARED: bool, const ROWS: usize>(x: &[f32], rows: [&[f32]; ROWS]) -> [__m512; ROWS] {
    let d = rows.iter().fold(x.len(), |d, row| d.min(row.len()));
    let mut sums = [_mm512_setzero_ps(); ROWS];
    let mut done = 0;
    while done + LANES <= d {
        // SAFETY: all have `LANES` more values.
        unsafe {
            let a = _mm512_loadu_ps(x.as_ptr().add(done));
            for (sum, row) in sums.iter_mut().zip(rows) {
                *sum = _mm512_add_ps(*sum, term::<SQUARED>(a, _mm512_loadu_ps(row.as_ptr().add(done))));
            }
        }
        done += LANES;
    }
    if done < d {
        let rest: __mmask16 = (1 << (d - done)) - 1;
        // SAFETY: only lanes within the slices are read.
        unsafe {
            let a = _mm512_maskz_loadu_ps(rest, x.as_ptr().add(done));
            for (sum, row) in sums.iter_mut().zip(rows) {
                let b = _mm512_maskz_loadu_ps(rest, row.as_ptr().add(done));
                *sum = _mm512_mask_add_ps(*sum, rest, *sum, term::<SQUARED>(a, b));
            }
        }
    }
    sums
}

/// The first fold: lane l and lane l + 8.
#[inline]
#[target_feature(enable = "avx512f")]
fn halves(sums: __m512) -> __m256 {
    let upper = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(sums));
    _mm256_add_ps(_mm512_castps512_ps256(sums), _mm256_castpd_ps(upper))
}

#[target_feature(enable = "avx512f")]
fn one<const SQUARED: bool>(x: &[f32], y: &[f32]) -> f32 {
    let [sums] = lanes::<SQUARED, 1>(x, [y]);
    let eight = halves(sums);
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

#[target_feature(enable = "avx512f")]
fn many<const SQUARED: bool>(x: &[f32], vectors: &[f32], rows: &[u32], sums: &mut Vec<f32>) {
    let row = |row: u32| &vectors[row as usize * x.len()..][..x.len()];
    let (quads, rest) = rows.as_chunks::<4>();
    for quad in quads {
        let [a, b, c, d] = lanes::<SQUARED, 4>(x, [row(quad[0]), row(quad[1]), row(quad[2]), row(quad[3])]);
        let (a, b, c, d) = (halves(a), halves(b), halves(c), halves(d));
        // Lane l and lane l + 4: one register holds two rows.
        let ab = _mm256_add_ps(_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b));
        let cd = _mm256_add_ps(_mm256_permute2f128_ps::<0x20>(c, d), _mm256_permute2f128_ps::<0x31>(c, d));
        // Lane l and lane l + 2: it holds a, c | b, d.
        let (ab, cd) = (_mm256_castps_pd(ab), _mm256_castps_pd(cd));
        let low = _mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd));
        let all = _mm256_add_ps(low, _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd)));
        let all = _mm256_add_ps(all, _mm256_movehdup_ps(all));
        let (ac, bd) = (_mm256_castps256_ps128(all), _mm256_extractf128_ps::<1>(all));
        let four = _mm_unpacklo_ps(_mm_shuffle_ps::<0b1000>(ac, ac), _mm_shuffle_ps::<0b1000>(bd, bd));
        let mut out = [0.0; 4];
        // SAFETY: `out` has room for one register.
        unsafe { _mm_storeu_ps(out.as_mut_ptr(), four) };
        sums.extend(out);
    }
    for &index in rest {
        sums.push(one::<SQUARED>(x, row(index)));
    }
}
