//! The scalar reference, and the variant of machines without vector integer products.

use super::{Aim, GROUP, PANEL, Panels, Query, Slots, ZERO};

pub(super) fn sweep(aims: &[Aim], panels: Panels, slots: &mut Slots) {
    for (index, aim) in aims.iter().enumerate() {
        for (panel, offsets, first) in panels.iter() {
            let mut sums = offsets.map_or([0; PANEL], |offsets| offsets.map(|o| scaled(o, aim.offset_scale)));
            add(aim.query, panel, &mut sums);
            let mut wanted = 0;
            for (lane, sum) in sums.iter().enumerate() {
                let inside = (aim.lo..=aim.hi).contains(sum) && !(aim.gap_lo..=aim.gap_hi).contains(sum);
                wanted |= u32::from(inside) << lane;
            }
            slots.collect(index, wanted, first);
        }
    }
}

pub(super) fn products(queries: &[&Query], panels: Panels, sums: &mut [i32]) {
    let columns = sums.len() / queries.len();
    for (query, sums) in queries.iter().zip(sums.chunks_mut(columns)) {
        for ((panel, ..), sums) in panels.iter().zip(sums.as_chunks_mut().0) {
            add(query, panel, sums);
        }
    }
}

fn add(query: &Query, panel: &[u8], sums: &mut [i32; PANEL]) {
    for (query, columns) in query.values.chunks_exact(GROUP).zip(panel.chunks_exact(PANEL * GROUP)) {
        for (sum, column) in sums.iter_mut().zip(columns.chunks_exact(GROUP)) {
            for (&x, &y) in query.iter().zip(column) {
                *sum += i32::from(x) * i32::from((y ^ ZERO) as i8);
            }
        }
    }
}

/// Rounds as the vector instructions do.
fn scaled(offset: f32, scale: f32) -> i32 {
    (offset * scale).round_ties_even() as i32
}
