use super::*;
use crate::kernel::Distance;
use crate::manifest::fixture;
use crate::store::Row;

#[test]
fn stretches_are_all_lines_in_order_and_of_bounded_size() {
    let store = fixture::store();
    let mut lines = Lines::default();
    for at in 0..50 {
        let member = |row| Member { row: Row(row % 40), distance: Distance::new(0.5), role: Role::Positive };
        lines.push(Row(at % 40), at, 0.25, [member(at * 7), member(at * 11)]);
    }
    let bytes = |line: &Line| {
        let members: u64 = line.members.iter().map(|member| store.beside_bytes(member.row)).sum();
        members + store.beside_bytes(line.anchor)
    };
    let all: u64 = lines.iter().map(|line| bytes(&line)).sum();
    for (most, expected) in [(u64::MAX, 1), (all, 1), (all - 1, 2), (0, 50)] {
        let stretches = stretches(&store, lines.clone(), most);
        assert_eq!(stretches.len(), expected, "{most}");
        let size = |stretch: &Lines| stretch.iter().map(|line| bytes(&line)).sum::<u64>();
        assert!(stretches.iter().all(|stretch| stretch.len() == 1 || size(stretch) <= most), "{most}");
        assert!(stretches.iter().flat_map(Lines::iter).eq(lines.iter()), "{most}");
    }
}
