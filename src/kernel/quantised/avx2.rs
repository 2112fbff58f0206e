//! AVX2: bytes are multiplied as |y| · sgn(y)x, whose pairs fit sixteen bits because no magnitude exceeds 127.

use std::arch::x86_64::*;

use super::{Aim, GROUP, PANEL, Panels, Query, Slots, ZERO};

/// Sums of one register.
const LANES: usize = 8;
/// Registers of a panel's sums.
const PARTS: usize = PANEL / LANES;
/// Queries of a tile: two of them fill half the sixteen registers with sums.
const TILE: usize = 2;

pub(super) fn sweep(aims: &[Aim], panels: Panels, slots: &mut Slots) {
    for (index, aims) in aims.chunks(TILE).enumerate() {
        #[allow(unsafe_code)]
        // SAFETY: this variant is chosen only where the processor has these instructions.
        unsafe {
            match aims.len() {
                1 => tiles::<1>(aims, panels, index * TILE, slots),
                _ => tiles::<TILE>(aims, panels, index * TILE, slots),
            }
        }
    }
}

/// All sums of up to [`super::TILE`] queries.
pub(super) fn products(queries: &[&Query], panels: Panels, sums: &mut [i32]) {
    let columns = sums.len() / queries.len().max(1);
    for (query, sums) in queries.iter().zip(sums.chunks_exact_mut(columns.max(1))) {
        #[allow(unsafe_code)]
        // SAFETY: as above.
        unsafe {
            all(query, panels, sums);
        }
    }
}

#[target_feature(enable = "avx2")]
fn all(query: &Query, panels: Panels, out: &mut [i32]) {
    for ((panel, ..), out) in panels.iter().zip(out.as_chunks_mut::<PANEL>().0) {
        let mut sums: [Sums; 1] = [[_mm256_setzero_si256(); PARTS]];
        add([query], panel, &mut sums);
        for (out, sum) in out.as_chunks_mut::<LANES>().0.iter_mut().zip(sums[0]) {
            #[allow(unsafe_code)]
            // SAFETY: `out` is one register long.
            unsafe {
                _mm256_storeu_si256(out.as_mut_ptr().cast(), sum);
            }
        }
    }
}

/// The sums of one query and one panel.
type Sums = [__m256i; PARTS];

/// Adds the products of `Q` queries and one panel.
#[inline]
#[target_feature(enable = "avx2")]
fn add<const Q: usize>(queries: [&Query; Q], panel: &[u8], sums: &mut [Sums; Q]) {
    let (ones, zero) = (_mm256_set1_epi16(1), _mm256_set1_epi8(ZERO as i8));
    let queries: [*const i8; Q] = queries.map(|query| query.values.as_ptr());
    for group in 0..panel.len() / (PANEL * GROUP) {
        #[allow(unsafe_code)]
        // SAFETY: a panel holds 128 bytes a group, and a query, as `Variant` asserts, 4 bytes a group.
        unsafe {
            let columns = panel.as_ptr().add(group * PANEL * GROUP);
            let x: [__m256i; Q] = std::array::from_fn(|q| {
                _mm256_set1_epi32(queries[q].add(group * GROUP).cast::<i32>().read_unaligned())
            });
            #[expect(clippy::needless_range_loop, reason = "the index addresses memory, too")]
            for part in 0..PARTS {
                let y = _mm256_xor_si256(_mm256_loadu_si256(columns.add(part * 32).cast()), zero);
                let magnitude = _mm256_abs_epi8(y);
                for q in 0..Q {
                    let pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(x[q], y));
                    sums[q][part] = _mm256_add_epi32(sums[q][part], _mm256_madd_epi16(pairs, ones));
                }
            }
        }
    }
}

/// `Q` queries by every panel.
#[target_feature(enable = "avx2")]
fn tiles<const Q: usize>(aims: &[Aim], panels: Panels, aim: usize, slots: &mut Slots) {
    let Some(aims) = aims.first_chunk::<Q>() else { return };
    for (panel, offsets, first) in panels.iter() {
        tile(aims, panel, offsets, aim, first, slots);
    }
}

/// `Q` queries by one panel.
#[target_feature(enable = "avx2")]
fn tile<const Q: usize>(
    aims: &[Aim; Q],
    panel: &[u8],
    offsets: Option<&[f32; PANEL]>,
    aim: usize,
    first: u32,
    slots: &mut Slots,
) {
    let mut sums: [Sums; Q] = [[_mm256_setzero_si256(); PARTS]; Q];
    if let Some(offsets) = offsets {
        for (sums, aim) in sums.iter_mut().zip(aims) {
            let scale = _mm256_set1_ps(aim.offset_scale);
            for (part, sum) in sums.iter_mut().enumerate() {
                #[allow(unsafe_code)]
                // SAFETY: a panel has thirty-two offsets.
                let offset = unsafe { _mm256_loadu_ps(offsets.as_ptr().add(LANES * part)) };
                *sum = _mm256_cvtps_epi32(_mm256_mul_ps(offset, scale));
            }
        }
    }
    add(std::array::from_fn(|q| aims[q].query), panel, &mut sums);
    for q in 0..Q {
        let mut wanted = 0u32;
        let (lo, hi) = (_mm256_set1_epi32(aims[q].lo), _mm256_set1_epi32(aims[q].hi));
        let (gap_lo, gap_hi) = (_mm256_set1_epi32(aims[q].gap_lo), _mm256_set1_epi32(aims[q].gap_hi));
        for (part, &sum) in sums[q].iter().enumerate() {
            let outside = _mm256_or_si256(_mm256_cmpgt_epi32(lo, sum), _mm256_cmpgt_epi32(sum, hi));
            let beside = _mm256_or_si256(_mm256_cmpgt_epi32(gap_lo, sum), _mm256_cmpgt_epi32(sum, gap_hi));
            let inside = _mm256_andnot_si256(outside, beside);
            wanted |= (_mm256_movemask_ps(_mm256_castsi256_ps(inside)) as u32) << (LANES * part);
        }
        slots.collect(aim + q, wanted, first);
    }
}
