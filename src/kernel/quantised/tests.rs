use super::*;

/// A generator that every variant can be fed from: SplitMix64.
fn values(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = state;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 40) as f64 / (1u64 << 23) as f64 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn rows(values: &[f64], d: usize) -> Vec<&[f64]> {
    values.chunks_exact(d).collect()
}

/// (aim, column) of every hit.
fn swept(variant: Variant, aims: &[Aim], bytes: &[u8], offsets: &[f32]) -> Vec<(usize, usize)> {
    let mut hits = Hits::default();
    variant.sweep(aims, bytes, offsets, &mut hits);
    let hits = hits.iter().enumerate();
    hits.flat_map(|(aim, columns)| columns.iter().map(move |&column| (aim, column as usize))).collect()
}

/// The sum of each column, which only a window of one sum gives away.
fn sums(variant: Variant, query: &Query, bytes: &[u8], offsets: &[f32], expected: &[i32]) {
    for (column, &sum) in expected.iter().enumerate() {
        for (lo, hi, inside) in [(sum, sum, true), (sum + 1, i32::MAX, false), (i32::MIN, sum - 1, false)] {
            let aim = Aim { lo, hi, offset_scale: 1.0, ..Aim::everything(query) };
            let found = swept(variant, &[aim], bytes, offsets).contains(&(0, column));
            assert_eq!(found, inside, "{variant:?}: column {column}, {sum} in {lo} ..= {hi}");
        }
    }
}

#[test]
fn every_variant_equals_the_scalar_reference() {
    for d in [1, 3, 4, 5, 31, 100, 128, 4_096] {
        for (columns, queries) in [(1, 1), (31, 2), (33, 5), (64, 6), (96, 7), (130, 13)] {
            let (store, asked) = (values(columns * d, 1), values(queries * d, 2));
            let block = pack(&rows(&store, d), d);
            let asked: Vec<Query> = rows(&asked, d).into_iter().map(Query::new).collect();
            let offsets: Vec<f32> =
                values(columns.next_multiple_of(PANEL), 3).iter().map(|o| (o * 1e4) as f32).collect();
            for offsets in [&[][..], &offsets] {
                // Windows of several widths, and one that admits every column.
                let bound = (i32::from(i16::MAX) as usize * d.isqrt()) as i32 / 4;
                let aim = |(i, query): (usize, _)| match i % 3 {
                    0 => Aim { lo: -bound, hi: bound, gap_lo: -bound / 8, gap_hi: bound / 4, offset_scale: 0.5, query },
                    1 => Aim { lo: bound / 2, offset_scale: 1.25, ..Aim::everything(query) },
                    _ => Aim::everything(query),
                };
                let aims: Vec<Aim> = asked.iter().enumerate().map(aim).collect();
                let expected = swept(Variant::Portable, &aims, &block.bytes, offsets);
                for variant in Variant::available() {
                    let found = swept(variant, &aims, &block.bytes, offsets);
                    assert_eq!(found, expected, "{variant:?}, d = {d}, {columns} columns, {queries} queries");
                }
            }
        }
    }
}

#[test]
fn the_reference_is_the_integer_product() {
    let d = 37;
    let (store, asked) = (values(40 * d, 4), values(d, 5));
    let block = pack(&rows(&store, d), d);
    let query = Query::new(&asked);
    let step = |value: f64, scale: f64| (value / scale).round_ties_even() as i32;
    let product = |column: &[f64]| {
        column.iter().zip(&asked).map(|(&y, &x)| step(y, block.scale) * step(x, query.scale)).sum::<i32>()
    };
    let mut expected: Vec<i32> = store.chunks_exact(d).map(product).collect();
    expected.resize(64, 0);
    sums(Variant::Portable, &query, &block.bytes, &[], &expected);
    let offsets: Vec<f32> = (0..64).map(|i| i as f32 * 100.0 - 3_000.0).collect();
    expected.iter_mut().zip(&offsets).for_each(|(sum, offset)| *sum += *offset as i32);
    sums(Variant::Portable, &query, &block.bytes, &offsets, &expected);
}

#[test]
fn all_products_are_those_that_a_sweep_compares() {
    let d = 33;
    let (store, asked) = (values(70 * d, 8), values(8 * d, 9));
    let block = pack(&rows(&store, d), d);
    let queries: Vec<Query> = rows(&asked, d).into_iter().map(Query::new).collect();
    let queries: Vec<&Query> = queries.iter().collect();
    for variant in Variant::available() {
        for queries in [&queries[..0], &queries[..1], &queries[..6], &queries] {
            let mut found = Vec::new();
            variant.products(queries, &block.bytes, &mut found);
            assert_eq!(found.len(), queries.len() * 96, "{variant:?}");
            for (query, found) in queries.iter().zip(found.chunks_exact(96)) {
                sums(variant, query, &block.bytes, &[], found);
            }
        }
    }
}

#[test]
fn residuals_bound_the_product() {
    for d in [1, 3, 100, 384] {
        for magnitude in [1e-30, 1.0, 1e15] {
            let store: Vec<f64> = values(64 * d, 6).iter().map(|v| v * magnitude).collect();
            let asked = values(d, 7);
            let (block, query) = (pack(&rows(&store, d), d), Query::new(&asked));
            let norm = |x: &[f64]| x.iter().map(|v| v * v).sum::<f64>().sqrt();
            let unit = block.scale * query.scale;
            for (index, column) in store.chunks_exact(d).enumerate() {
                let exact: f64 = column.iter().zip(&asked).map(|(y, x)| y * x).sum();
                let slack = query.residual * norm(column) + (norm(&asked) + query.residual) * block.residual;
                let (lo, hi) = (((exact - slack) / unit).floor() as i32, ((exact + slack) / unit).ceil() as i32);
                let aim = Aim { lo, hi, ..Aim::everything(&query) };
                assert!(swept(Variant::Portable, &[aim], &block.bytes, &[]).contains(&(0, index)), "d = {d}");
            }
        }
    }
}

#[test]
fn the_largest_sums_stay_in_range() {
    let d = 70_000;
    let (store, asked) = (vec![1.0; d], vec![-1.0; d]);
    let (block, query) = (pack(&[&store], d), Query::new(&asked));
    let offsets = [-((1 << 30) as f32); PANEL];
    let expected = -levels(d).pow(2) * d as i32 - (1 << 30);
    for variant in Variant::available() {
        sums(variant, &query, &block.bytes, &offsets, &[expected]);
    }
}
