//! AVX-512 VNNI: one instruction multiplies sixty-four pairs of bytes and adds them up in sixteen sums.

use std::arch::x86_64::*;

use super::{Aim, GROUP, PANEL, Panels, REGISTER, Slots, TILE};

pub(super) fn sweep(aims: &[Aim], panels: Panels, slots: &mut Slots) {
    #[allow(unsafe_code)]
    // SAFETY: this variant is chosen only where the processor has these instructions.
    unsafe {
        match aims.len() {
            1 => tiles::<1>(aims, panels, slots),
            2 => tiles::<2>(aims, panels, slots),
            3 => tiles::<3>(aims, panels, slots),
            4 => tiles::<4>(aims, panels, slots),
            5 => tiles::<5>(aims, panels, slots),
            _ => tiles::<TILE>(aims, panels, slots),
        }
    }
}

/// `Q` queries by every panel.
#[target_feature(enable = "avx512f,avx512vnni")]
fn tiles<const Q: usize>(aims: &[Aim], panels: Panels, slots: &mut Slots) {
    let aims: &[Aim; Q] = aims.first_chunk().expect("as many as were counted");
    for (panel, offsets, first) in panels.iter() {
        tile(aims, panel, offsets, first, slots);
    }
}

/// `Q` queries by one panel.
#[target_feature(enable = "avx512f,avx512vnni")]
fn tile<const Q: usize>(
    aims: &[Aim; Q],
    panel: &[u8],
    offsets: Option<&[f32; PANEL]>,
    first: u32,
    slots: &mut Slots,
) {
    let mut sums = [[_mm512_setzero_si512(); 2]; Q];
    for (sums, aim) in sums.iter_mut().zip(aims) {
        *sums = [_mm512_set1_epi32(aim.query.start); 2];
        if let Some(offsets) = offsets {
            let scale = _mm512_set1_ps(aim.offset_scale);
            for (half, sum) in sums.iter_mut().enumerate() {
                #[allow(unsafe_code)]
                // SAFETY: a panel has thirty-two offsets.
                let offset = unsafe { _mm512_loadu_ps(offsets.as_ptr().add(16 * half)) };
                *sum = _mm512_add_epi32(*sum, _mm512_cvtps_epi32(_mm512_mul_ps(offset, scale)));
            }
        }
    }
    let queries: [*const i8; Q] = std::array::from_fn(|q| aims[q].query.values.as_ptr());
    for group in 0..panel.len() / (PANEL * GROUP) {
        #[allow(unsafe_code)]
        // SAFETY: a panel holds 128 bytes a group, and a query, as `Variant::sweep` asserts, 4 bytes a group.
        unsafe {
            let columns = panel.as_ptr().add(group * PANEL * GROUP);
            let left = _mm512_loadu_si512(columns.cast());
            let right = _mm512_loadu_si512(columns.add(64).cast());
            for q in 0..Q {
                let x = _mm512_set1_epi32(queries[q].add(group * GROUP).cast::<i32>().read_unaligned());
                sums[q][0] = _mm512_dpbusd_epi32(sums[q][0], left, x);
                sums[q][1] = _mm512_dpbusd_epi32(sums[q][1], right, x);
            }
        }
    }
    let mut wanted = [[0u16; 2]; Q];
    let mut any = 0;
    for q in 0..Q {
        let (lo, hi) = (_mm512_set1_epi32(aims[q].lo), _mm512_set1_epi32(aims[q].hi));
        for (wanted, &sum) in wanted[q].iter_mut().zip(&sums[q]) {
            *wanted = _mm512_mask_cmple_epi32_mask(_mm512_cmpge_epi32_mask(sum, lo), sum, hi);
            any |= *wanted;
        }
    }
    if any == 0 {
        return;
    }
    let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for q in 0..Q {
        if wanted[q] == [0, 0] {
            continue;
        }
        let (gap_lo, gap_hi) = (_mm512_set1_epi32(aims[q].gap_lo), _mm512_set1_epi32(aims[q].gap_hi));
        for (half, (wanted, &sum)) in wanted[q].iter().zip(&sums[q]).enumerate() {
            let gap = _mm512_mask_cmple_epi32_mask(_mm512_mask_cmpge_epi32_mask(*wanted, sum, gap_lo), sum, gap_hi);
            let columns = _mm512_add_epi32(lanes, _mm512_set1_epi32(first as i32 + 16 * half as i32));
            write(q, wanted & !gap, columns, slots);
        }
    }
}

/// Adds the lanes that are wanted, without a branch for each.
#[target_feature(enable = "avx512f")]
fn write(query: usize, wanted: u16, columns: __m512i, slots: &mut Slots) {
    let count = &mut slots.counts[query];
    let room = &mut slots.columns[query * slots.size + *count..][..REGISTER];
    #[allow(unsafe_code)]
    // SAFETY: the slice above is one register long.
    unsafe {
        _mm512_storeu_si512(room.as_mut_ptr().cast(), _mm512_maskz_compress_epi32(wanted, columns));
    }
    *count += wanted.count_ones() as usize;
}
