//! The sum of all ranks' gradients, taken while they are computed.
//!
//! A backward pass finishes the gradients of a model's last layers first. They go to the adder, a
//! thread that sums them over all ranks while others go on with the layers before: in buckets that
//! are the same on all ranks, and in the same order. Within one host, they wait until all is
//! computed. What a rank adds up does not depend on when.
//!
//! Tables come last, by themselves: their gradients are finished last, and which of their pages any
//! rank has touched is only known then.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread::{self, sleep, yield_now};
use std::time::Duration;

use simcse_tensor::{Grads, Layout, Parameter};

use crate::ranks::communicator::{Communicator, Pause};
use crate::ranks::shares;
use crate::ranks::traffic::{Exchange, Meter};

/// How many values are exchanged at a time. In tests, few enough that even small models take
/// several turns.
const BUCKET: usize = if cfg!(test) { 1 << 11 } else { 1 << 20 };
/// How many buckets wait for the adder, at most.
const WAITING: usize = 4;
/// How long the adder sleeps between two looks at an exchange, while others need the processor.
const NAP: Duration = Duration::from_micros(50);

/// Told of sections of the flat buffers whose gradients are finished.
pub(crate) type Finished<'a> = dyn FnMut(&mut Grads, Range<usize>) + 'a;

/// Bytes that the sum of a gradient takes, at most: buckets that wait, one that is exchanged, one
/// that is filled, and what is received for one.
pub(super) const BYTES: usize = (WAITING + 3) * BUCKET * size_of::<f32>();

/// Sums the gradients of tables. Pages that no rank has touched are not exchanged.
pub(super) fn sum_tables(others: &dyn Communicator, meter: &Meter, grads: &mut Grads) {
    let own: Vec<u8> = grads.touched_pages().iter().map(|&touched| touched.into()).collect();
    let all = others.all_gather_bytes(&own);
    grads.touch(|page| all.iter().any(|touched| touched[page] != 0));
    let layout = grads.layout().clone();
    let tables = layout.parameters().iter().filter(|parameter| parameter.is_table).map(Parameter::range);
    let runs: Vec<Range<usize>> = tables.flat_map(|table| grads.touched(grads, table)).collect();
    let mut bucket = Vec::with_capacity(BUCKET);
    let mut received = Vec::new();
    let mut sections = grads.sections_mut(runs).into_iter().peekable();
    while sections.peek().is_some() {
        let mut filled = Vec::new();
        bucket.clear();
        while let Some(section) = sections.next_if(|next| bucket.is_empty() || bucket.len() + next.len() <= BUCKET) {
            bucket.extend_from_slice(section);
            filled.push(section);
        }
        sum_values(others, meter, &mut bucket, &mut received, &yield_now);
        let mut rest = &bucket[..];
        for section in filled {
            let (sums, others) = rest.split_at(section.len());
            section.copy_from_slice(sums);
            rest = others;
        }
    }
}

/// Sums values over all ranks, each of which adds up an equal part.
fn sum_values(others: &dyn Communicator, meter: &Meter, values: &mut [f32], received: &mut Vec<f32>, pause: Pause) {
    let counts: Vec<usize> = shares::equal(values.len(), others.size()).map(|part| part.len()).collect();
    let own = shares::at(&counts, others.rank());
    let sent = values.len() - own.len() + own.len() * (others.size() - 1);
    meter.measured(Exchange::Gradients, sent, || {
        others.reduce_scatter(values, &counts, received, pause);
        let own = values[own].to_vec();
        others.all_gather(&own, &counts, values, pause);
    });
}

/// Adjacent values of the gradient that are exchanged together.
#[derive(Debug, PartialEq)]
struct Bucket {
    places: Range<usize>,
    /// How many of them are not finished.
    missing: usize,
}

/// The values of a bucket on their way, or their sums on the way back.
struct Section {
    places: Range<usize>,
    values: Vec<f32>,
}

impl Section {
    /// Writes the values to their places, and returns the memory.
    fn put(self, grads: &mut Grads) -> Vec<f32> {
        for section in grads.sections_mut([self.places]) {
            section.copy_from_slice(&self.values);
        }
        self.values
    }
}

/// The buckets of everything that is trained, apart from tables, from the last places to the first.
fn buckets(layout: &Layout) -> VecDeque<Bucket> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for parameter in layout.parameters().iter().filter(|parameter| parameter.trainable && !parameter.is_table) {
        match runs.last_mut().filter(|run| run.end == parameter.start) {
            Some(run) => run.end = parameter.range().end,
            None => runs.push(parameter.range()),
        }
    }
    let cut = |run: Range<usize>| {
        let ends = (0..run.len().div_ceil(BUCKET)).map(move |number| run.end - number * BUCKET);
        ends.map(move |end| end.saturating_sub(BUCKET).max(run.start)..end)
    };
    runs.into_iter().rev().flat_map(cut).map(|places| Bucket { missing: places.len(), places }).collect()
}

/// A section to sum over all ranks, and where to send the sums.
pub(super) struct Order {
    section: Section,
    done: Sender<Section>,
    /// Whether the thread that computes gradients has nothing to do but wait.
    is_idle: Arc<AtomicBool>,
}

/// Starts the thread that sums sections over all ranks. It ends when nobody can give it any.
pub(super) fn adder(others: Arc<dyn Communicator>, meter: Meter) -> SyncSender<Order> {
    let (adder, orders) = sync_channel::<Order>(WAITING);
    thread::spawn(move || {
        let mut received = Vec::new();
        for Order { mut section, done, is_idle } in orders {
            let pause = || if is_idle.load(Relaxed) { yield_now() } else { sleep(NAP) };
            sum_values(&*others, &meter, &mut section.values, &mut received, &pause);
            // Nobody waits for it if the thread that computes gradients has panicked.
            let _ = done.send(section);
        }
    });
    adder
}

/// The side of the thread that computes gradients.
pub(super) struct GradientSum {
    /// What has not been handed over, in the order of all ranks.
    buckets: VecDeque<Bucket>,
    adder: SyncSender<Order>,
    done: Sender<Section>,
    sums: Receiver<Section>,
    is_idle: Arc<AtomicBool>,
    /// How many sections have been handed over of which the sums are not yet here.
    under_way: usize,
    /// Memory of sections that came back.
    free: Vec<Vec<f32>>,
}

impl GradientSum {
    pub(super) fn new(layout: &Layout, adder: SyncSender<Order>) -> Self {
        let (done, sums) = channel();
        Self { buckets: buckets(layout), adder, done, sums, is_idle: Arc::default(), under_way: 0, free: Vec::new() }
    }

    /// Hands over the next buckets if they are finished, as many as can wait.
    pub(super) fn finished(&mut self, grads: &mut Grads, section: &Range<usize>) {
        for Bucket { places, missing } in &mut self.buckets {
            *missing -= places.end.min(section.end).saturating_sub(places.start.max(section.start));
        }
        while let Ok(section) = self.sums.try_recv() {
            self.take_back(grads, section);
        }
        while let Some(bucket) = self.buckets.pop_front_if(|bucket| bucket.missing == 0) {
            let order = self.order(grads, bucket.places.clone());
            if let Err(TrySendError::Full(order) | TrySendError::Disconnected(order)) = self.adder.try_send(order) {
                self.free.push(order.section.values);
                self.buckets.push_front(bucket);
                return;
            }
            self.under_way += 1;
        }
    }

    /// Hands over all other buckets, and waits for all sums.
    pub(super) fn complete(mut self, grads: &mut Grads) {
        self.is_idle.store(true, Relaxed);
        while let Some(bucket) = self.buckets.pop_front() {
            let order = self.order(grads, bucket.places);
            self.adder.send(order).expect("an adder that does not panic");
            self.under_way += 1;
            while let Ok(section) = self.sums.try_recv() {
                self.take_back(grads, section);
            }
        }
        let Self { done, sums, under_way, .. } = self;
        drop(done); // so that waiting ends if the adder has panicked
        for _ in 0..under_way {
            sums.recv().expect("an adder that does not panic").put(grads);
        }
    }

    fn order(&mut self, grads: &Grads, places: Range<usize>) -> Order {
        let mut values = self.free.pop().unwrap_or_else(|| Vec::with_capacity(BUCKET));
        values.clear();
        values.extend_from_slice(&grads.values()[places.clone()]);
        let section = Section { places, values };
        Order { section, done: self.done.clone(), is_idle: Arc::clone(&self.is_idle) }
    }

    fn take_back(&mut self, grads: &mut Grads, section: Section) {
        self.free.push(section.put(grads));
        self.under_way -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use simcse_tensor::{PAGE, Slot};

    use super::*;
    use crate::ranks::threads::on_threads;

    /// More buckets than may wait, of which the last is not full; a table of which no rank touches
    /// some pages; something that is not trained in between.
    fn layout() -> (Arc<Layout>, [Slot; 2]) {
        let mut layout = Layout::default();
        layout.push_table("table", [8 * PAGE, 1]);
        let first = layout.push("first", &[3000], true, true);
        layout.push("fixed", &[10], true, false);
        let second = layout.push("second", &[7 * BUCKET, 1], true, true);
        (Arc::new(layout), [first, second])
    }

    #[test]
    fn buckets_have_what_is_trained_from_the_end() {
        let (layout, _) = layout();
        let end = layout.len();
        let found: Vec<Range<usize>> = buckets(&layout).into_iter().map(|bucket| bucket.places).collect();
        let table = 8 * PAGE;
        let second = (1..=7).map(|number| end - number * BUCKET..end - (number - 1) * BUCKET);
        let expected = second.chain([table + 3000 - BUCKET..table + 3000, table..table + 3000 - BUCKET]);
        assert_eq!(found, expected.collect::<Vec<_>>());
    }

    #[test]
    fn gradients_are_summed_in_the_order_of_the_ranks() {
        let (layout, slots) = layout();
        // Large, small and large again: another order would give other bits.
        let value = |rank: usize, place: usize| [1e8, 1.0, -1e8][rank] + place as f32;
        let found = on_threads(3, |ranks| {
            let mut grads = Grads::zeros(layout.clone());
            let place = 2 * PAGE * ranks.rank();
            let ranges: Vec<Range<usize>> = layout.parameters().iter().map(Parameter::range).collect();
            let work = ranks.sum_while(&mut grads, |grads, finished| {
                grads.set(place..place + 1, &[1.0]);
                for (slot, range) in slots.into_iter().zip([1, 3]).rev() {
                    let values = grads.slice_mut(slot);
                    values.iter_mut().enumerate().for_each(|(place, of)| *of = value(ranks.rank(), place));
                    // One rank finishes everything at once, one in parts, and one only at the end.
                    let Range { start, end } = ranges[range].clone();
                    match ranks.rank() {
                        0 => finished(grads, start..end),
                        1 => {
                            (start..end).step_by(700).rev().for_each(|part| finished(grads, part..end.min(part + 700)))
                        }
                        _ => {}
                    }
                }
                "done"
            });
            assert_eq!(work, "done");
            assert!(grads.is_untouched(6 * PAGE..8 * PAGE));
            let traffic = ranks.take_traffic().unwrap();
            assert!(traffic.waited_seconds() > 0.0);
            (grads, traffic.bytes(Exchange::Gradients))
        });
        for (sums, sent) in &found {
            for slot in slots {
                for (place, &sum) in sums.slice(slot).iter().enumerate() {
                    assert_eq!(sum, (value(0, place) + value(1, place)) + value(2, place), "place {place}");
                }
            }
            let ones: Vec<usize> = (0..8 * PAGE).filter(|&place| sums.values()[place] != 0.0).collect();
            assert_eq!(ones, [0, 2 * PAGE, 4 * PAGE]);
            // Three pages and the dense part, twice; of each, all but a third is sent.
            let values = (3 * PAGE + 3000 + 7 * BUCKET) as f64;
            assert!((*sent as f64 / (4.0 * values * 4.0 / 3.0) - 1.0).abs() < 0.01, "{sent} bytes");
        }
    }
}
