use proptest::prelude::*;

use super::*;
use crate::Addend;

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

/// Whatever changes a value, the weights are packed again.
#[test]
fn packed_weights_are_those_of_the_values() {
    let (_, layout) = layout();
    let mut layout = Layout::clone(&layout);
    let weight = layout.push("weight", &[30, 50], true, true);
    let mut params = Params::zeros(Arc::new(layout));
    assert!(params.packed_transpose(weight, Precision::F32).is_none(), "nothing is kept unless it is requested");
    params.keep_packed();
    let packed = |params: &Params| params.packed_transpose(weight, Precision::F32);
    let Some(first) = packed(&params) else { return }; // the portable product packs nothing
    assert!(Arc::ptr_eq(&first, &packed(&params).unwrap()));
    let changes: [fn(&mut Params, Slot); 6] = [
        |params, _| params.values_mut().fill(1.0),
        |params, weight| params.slice_mut(weight).fill(2.0),
        |params, weight| params.set(weight.range(), &[3.0; 1500]),
        |params, weight| params.sections_mut([weight.range()])[0].fill(4.0),
        |params, _| params.scale(1.25),
        |params, _| params.clear(),
    ];
    for (change, expected) in changes.into_iter().zip([50.0, 100.0, 150.0, 200.0, 250.0, 0.0]) {
        packed(&params);
        change(&mut params, weight);
        let mut y = [f32::NAN; 30];
        packed(&params).unwrap().product(ndarray::Array2::ones((1, 50)).view(), Addend::Zero, &mut y);
        assert_eq!(y, [expected; 30]);
    }
    assert!(params.clone().packed_transpose(weight, Precision::F32).is_none());
}
