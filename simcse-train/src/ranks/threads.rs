//! Ranks that are threads of one process: for tests, and to try out code for several ranks. They do
//! what ranks on different hosts do.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;

use crate::ranks::collective::Ranks;
use crate::ranks::communicator::{Communicator, Pause};
use crate::ranks::shares::at;

/// Runs `work` on `size` ranks, each on a thread of its own, and returns what they found, in their
/// order. [`Ranks`] has an example.
///
/// # Panics
/// If one of them does while the others do not wait for it.
pub fn on_threads<T: Send>(size: usize, work: impl Fn(Ranks) -> T + Sync) -> Vec<T> {
    let desk = Arc::new(Desk { given: Mutex::new(vec![Vec::new(); size]), arrived: Barrier::new(size) });
    let hosts: Vec<String> = (0..size).map(|rank| format!("thread {rank}")).collect();
    let rank = |rank| Ranks::new(Thread { rank, size, desk: Arc::clone(&desk) }, hosts.clone());
    thread::scope(|scope| {
        let running: Vec<_> = (0..size).map(rank).map(|ranks| scope.spawn(|| work(ranks))).collect();
        running.into_iter().map(|rank| rank.join().expect("a rank that does not panic")).collect()
    })
}

/// Where ranks leave what they give.
struct Desk {
    given: Mutex<Vec<Vec<u8>>>,
    arrived: Barrier,
}

struct Thread {
    rank: usize,
    size: usize,
    desk: Arc<Desk>,
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {} threads", self.rank, self.size)
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn copy(from: &[u8], to: &mut [f32]) {
    assert_eq!(from.len(), size_of_val(to), "values exchanged");
    for (to, from) in to.iter_mut().zip(from.chunks_exact(size_of::<f32>())) {
        *to = f32::from_le_bytes(from.try_into().expect("four bytes"));
    }
}

impl Communicator for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn all_gather(&self, own: &[f32], counts: &[usize], all: &mut [f32], _: Pause) {
        for (rank, given) in self.all_gather_bytes(&bytes(own)).iter().enumerate() {
            copy(given, &mut all[at(counts, rank)]);
        }
    }

    fn all_to_all(&self, values: &[f32], counts: &[usize], received: &mut [f32], _: Pause) {
        let Range { start, end } = at(counts, self.rank);
        let own = start * size_of::<f32>()..end * size_of::<f32>();
        let given = self.all_gather_bytes(&bytes(values));
        for (part, given) in received.chunks_exact_mut((end - start).max(1)).zip(given) {
            copy(&given[own.clone()], part);
        }
    }

    fn all_gather_bytes(&self, own: &[u8]) -> Vec<Vec<u8>> {
        let Desk { given, arrived } = &*self.desk;
        let given = || given.lock().unwrap_or_else(PoisonError::into_inner);
        given()[self.rank] = own.to_vec();
        arrived.wait();
        let all = given().clone();
        // Nobody may give the next thing before everybody has this one.
        arrived.wait();
        all
    }
}
