use proptest::prelude::*;

use super::*;

/// Two tables with a bias between them, none of which ends where a page does.
fn layout() -> ([Slot; 3], Arc<Layout>) {
    let mut layout = Layout::default();
    let words = layout.push_table("words", [500, 30]);
    let bias = layout.push("bias", &[70], false, true);
    (([words, bias, layout.push_table("positions", [300, 40])]), Arc::new(layout))
}

proptest! {
    /// Whatever is written and cleared, passes over what has been touched see every value that is
    /// not 0, and each of them once.
    #[test]
    fn touched_parts_hold_all_values(
        writes in prop::collection::vec((0..3usize, prop::collection::btree_set(0..300usize, 0..6)), 0..8),
        clear_after in 0..8usize,
        section in (0..27_070usize, 0..27_070usize).prop_map(|(a, b)| a.min(b)..a.max(b)),
    ) {
        let (slots, layout) = layout();
        let mut grads = Grads::zeros(layout.clone());
        let mut expected = vec![0.0; layout.len()];
        for (i, (slot, rows)) in writes.iter().enumerate() {
            if i == clear_after {
                grads.clear();
                expected.fill(0.0);
            }
            let slot = slots[*slot];
            let rows: Vec<_> = rows.iter().filter(|&&row| row < slot.rows()).map(|&row| slot.row(row)).collect();
            for (section, range) in grads.sections_mut(rows.iter().cloned()).into_iter().zip(&rows) {
                section.fill(i as f32 + 1.0);
                expected[range.clone()].fill(i as f32 + 1.0);
            }
        }
        prop_assert_eq!(grads.values(), &expected[..]);

        let other = Grads::zeros(layout);
        let touched = grads.touched(&other, section.clone());
        prop_assert_eq!(&touched, &other.touched(&grads, section.clone()));
        prop_assert!(touched.windows(2).all(|pair| pair[0].end <= pair[1].start));
        prop_assert!(touched.iter().all(|run| section.start <= run.start && run.end <= section.end && run.len() <= CHUNK));
        for place in section {
            let found = touched.iter().any(|run| run.contains(&place));
            prop_assert!(found || expected[place] == 0.0, "{} is left out", place);
            prop_assert!(found || grads.is_untouched(place..place + 1));
        }

        grads.scale(2.0);
        prop_assert!(grads.values().iter().zip(&expected).all(|(found, expected)| *found == 2.0 * expected));
        grads.clear();
        prop_assert!(grads.values().iter().all(|&value| value == 0.0));
        prop_assert!(grads.is_untouched(0..expected.len()));
    }

    /// Zeros that are set touch nothing, but replace what is there.
    #[test]
    fn a_set_section_has_its_values(first in prop::collection::vec(-1..2i8, 3000), second in prop::collection::vec(-1..2i8, 3000)) {
        let (_, layout) = layout();
        let mut flat = Grads::zeros(layout);
        for values in [first, second] {
            let values: Vec<f32> = values.into_iter().map(f32::from).collect();
            flat.set(500..3500, &values);
            prop_assert_eq!(&flat.values()[500..3500], &values[..]);
        }
    }
}

#[test]
fn zeros_touch_nothing() {
    let (_, layout) = layout();
    let mut flat = Grads::zeros(layout);
    let mut values = vec![0.0; 5000];
    flat.set(100..5100, &values);
    assert!(flat.is_untouched(0..6000));
    values[4000] = 1.0;
    flat.set(100..5100, &values);
    let touched = flat.touched(&flat, 0..6000);
    assert_eq!((touched.len(), &touched[0]), (1, &(4096..5120)));
}
