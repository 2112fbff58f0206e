//! The scalar reference, and the variant of machines without vector integer products.

use super::{Aim, GROUP, PANEL, Panels, Slots, ZERO};

pub(super) fn sweep(aims: &[Aim], panels: Panels, slots: &mut Slots) {
    for (index, aim) in aims.iter().enumerate() {
        for (panel, offsets, first) in panels.iter() {
            let mut sums = offsets.map_or([0; PANEL], |offsets| offsets.map(|o| scaled(o, aim.offset_scale)));
            for (query, columns) in aim.query.values.chunks_exact(GROUP).zip(panel.chunks_exact(PANEL * GROUP)) {
                for (sum, column) in sums.iter_mut().zip(columns.chunks_exact(GROUP)) {
                    for (&x, &y) in query.iter().zip(column) {
                        *sum += i32::from(x) * i32::from((y ^ ZERO) as i8);
                    }
                }
            }
            let mut wanted = 0;
            for (lane, sum) in sums.iter().enumerate() {
                let inside = (aim.lo..=aim.hi).contains(sum) && !(aim.gap_lo..=aim.gap_hi).contains(sum);
                wanted |= u32::from(inside) << lane;
            }
            slots.collect(index, wanted, first);
        }
    }
}

/// Rounds as the vector instructions do.
fn scaled(offset: f32, scale: f32) -> i32 {
    (offset * scale).round_ties_even() as i32
}
