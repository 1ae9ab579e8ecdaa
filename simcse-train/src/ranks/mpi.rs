//! Ranks that are processes of MPI, started by `mpirun`, `srun` or the like. Source: MPI 3.1,
//! chapter 5; the crate `mpi` binds what the system provides.
//!
//! A collective operation cannot be told to give up. So a thread watches how long this rank has
//! been in one, and calls for help if it is too long: another rank has stalled, or cannot be
//! reached any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use mpi::datatype::{Partition, PartitionMut};
use mpi::environment::{Universe, initialize_with_threading, processor_name};
use mpi::request::{Request, Scope, scope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives as _};
use mpi::{Count, Threading};

use crate::ranks::collective::Ranks;
use crate::ranks::communicator::{Communicator, Pause};

/// How often the watching thread looks.
const WATCH: Duration = Duration::from_millis(100);
/// How much longer than rank `r - 1` rank `r` waits before it calls for help, so that one does.
const STAGGER: Duration = Duration::from_secs(3);

/// Membership in MPI's world. To drop it waits for all other ranks to drop theirs, so a rank that
/// fails must end its process instead.
pub struct Membership(#[expect(dead_code, reason = "to drop it is what it is for")] Universe);

/// Joins MPI's world; `None` if that is not possible: because this process has before, or because
/// MPI does not let several threads call it in turns.
///
/// If this rank has waited for the others for as long as `patience`, `on_stall` is called, on
/// another thread, and should end the process.
pub fn join(patience: Duration, on_stall: impl FnOnce() + Send + 'static) -> Option<(Ranks, Membership)> {
    let (universe, threading) = initialize_with_threading(Threading::Serialized)?;
    if threading < Threading::Serialized {
        return None;
    }
    let world = World { watch: Arc::default(), start: Instant::now() };
    let watch = Watch {
        since: Arc::clone(&world.watch),
        start: world.start,
        patience: patience + STAGGER * world.rank() as u32,
    };
    thread::spawn(move || {
        watch.until_stalled();
        on_stall();
    });
    let host = processor_name().unwrap_or_default();
    let hosts = world.all_gather_bytes(host.as_bytes());
    let hosts = hosts.iter().map(|host| String::from_utf8_lossy(host).into_owned()).collect();
    Some((Ranks::new(world, hosts), Membership(universe)))
}

/// All processes of the run.
#[derive(Debug)]
struct World {
    /// When the collective operation that this rank is in began, in milliseconds from `start`, or
    /// [`IDLE`].
    watch: Arc<AtomicU64>,
    start: Instant,
}

/// Not in a collective operation.
const IDLE: u64 = 0;

struct Watch {
    since: Arc<AtomicU64>,
    start: Instant,
    patience: Duration,
}

impl Watch {
    fn until_stalled(&self) {
        loop {
            thread::sleep(WATCH);
            let since = self.since.load(SeqCst);
            if since != IDLE && self.start.elapsed() > self.patience + Duration::from_millis(since) {
                return;
            }
        }
    }
}

impl World {
    /// Runs a collective operation under the eyes of the watching thread.
    fn watched(&self, collective: impl FnOnce(SimpleCommunicator)) {
        self.watch.store(self.start.elapsed().as_millis() as u64 + 1, SeqCst);
        collective(SimpleCommunicator::world());
        self.watch.store(IDLE, SeqCst);
    }
}

/// Waits until an exchange is done. MPI would wait without a pause, which takes a processor.
fn wait<'a, T: ?Sized, S: Scope<'a>>(mut request: Request<'a, T, S>, pause: Pause) {
    while let Err(unfinished) = request.test() {
        request = unfinished;
        pause();
    }
}

/// MPI's numbers of values, and the places where they begin.
///
/// # Panics
/// If there are 2³¹ values or more: MPI 3.1 cannot exchange as many at a time.
fn parts(counts: impl Iterator<Item = usize>) -> (Vec<Count>, Vec<Count>) {
    let mut end = 0;
    counts
        .map(|count| {
            let start = end;
            end += count;
            let number = |number| Count::try_from(number).expect("fewer than 2³¹ values in an exchange");
            number(end);
            (number(count), number(start))
        })
        .unzip()
}

impl Communicator for World {
    fn rank(&self) -> usize {
        SimpleCommunicator::world().rank() as usize
    }

    fn size(&self) -> usize {
        SimpleCommunicator::world().size() as usize
    }

    fn all_gather(&self, own: &[f32], counts: &[usize], all: &mut [f32], pause: Pause) {
        let (counts, starts) = parts(counts.iter().copied());
        let mut all = PartitionMut::new(all, counts, starts);
        self.watched(|world| {
            scope(|scope| wait(world.immediate_all_gather_varcount_into(scope, own, &mut all), pause));
        });
    }

    fn all_to_all(&self, values: &[f32], counts: &[usize], received: &mut [f32], pause: Pause) {
        let own = vec![counts[self.rank()]; self.size()];
        let (counts, starts) = parts(counts.iter().copied());
        let (own_counts, own_starts) = parts(own.into_iter());
        let sent = Partition::new(values, counts, starts);
        let mut received = PartitionMut::new(received, own_counts, own_starts);
        self.watched(|world| {
            scope(|scope| wait(world.immediate_all_to_all_varcount_into(scope, &sent, &mut received), pause));
        });
    }

    fn all_gather_bytes(&self, own: &[u8]) -> Vec<Vec<u8>> {
        let mut lengths = vec![0u64; self.size()];
        self.watched(|world| world.all_gather_into(&(own.len() as u64), &mut lengths[..]));
        let lengths: Vec<usize> = lengths.into_iter().map(|length| length as usize).collect();
        let mut all = vec![0u8; lengths.iter().sum()];
        let (counts, starts) = parts(lengths.iter().copied());
        self.watched(|world| world.all_gather_varcount_into(own, &mut PartitionMut::new(&mut all[..], counts, starts)));
        let mut rest = &all[..];
        lengths.into_iter().map(|length| rest.split_off(..length).expect("bytes of each rank").to_vec()).collect()
    }
}
