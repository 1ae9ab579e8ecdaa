//! The processes that a launcher such as `mpirun` or `srun` has started to train together.
//!
//! This file knows launchers. It must not know what is trained.

#[cfg(feature = "mpi")]
use std::process;
#[cfg(feature = "mpi")]
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use clap::Args;
use simcse_train::ranks::Ranks;
#[cfg(feature = "mpi")]
use simcse_train::ranks::mpi::{self, Membership};

use crate::error::Failure;
#[cfg(feature = "mpi")]
use crate::report;

/// The variables in which launchers say how many processes they have started, and which of them
/// this is: Open MPI's, those of MPICH and Intel MPI, and Slurm's.
const LAUNCHERS: [[&str; 2]; 3] = [
    ["OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"],
    ["PMI_SIZE", "PMI_RANK"],
    ["SLURM_STEP_NUM_TASKS", "SLURM_PROCID"],
];

/// How long a rank that fails leaves the first rank the time to say why, and the launcher to end
/// all others.
const COURTESY: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct RankArgs {
    /// Under mpirun or srun: end the run if a process has waited this long for the others
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    #[cfg_attr(not(feature = "mpi"), arg(hide = true))]
    rank_timeout: u32,
}

/// What a launcher says about this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Launched {
    variable: &'static str,
    size: usize,
    rank: usize,
}

impl Launched {
    /// `None` unless several processes were started.
    fn find(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let number = |name| variable(name)?.parse().ok();
        let found = LAUNCHERS.iter().find_map(|&[size, rank]| {
            Some(Self { variable: size, size: number(size)?, rank: number(rank).unwrap_or(0) })
        });
        found.filter(|launched| launched.size > 1)
    }

    fn get() -> Option<Self> {
        Self::find(|name| std::env::var(name).ok())
    }
}

/// Whether this is another process than the first of several.
pub(crate) fn is_follower() -> bool {
    Launched::get().is_some_and(|launched| launched.rank > 0)
}

/// Lets the first process say why the command fails: most failures are the same everywhere.
pub(crate) fn let_the_first_speak() {
    if is_follower() {
        thread::sleep(COURTESY);
    }
}

/// Checks that a launcher has started one process only, unless the command `trains` and this
/// program can do so on several.
pub(crate) fn check_launched(trains: bool) -> Result<(), Failure> {
    let Some(Launched { variable, size, .. }) = Launched::get() else { return Ok(()) };
    let missing = match (trains, cfg!(feature = "mpi")) {
        (true, true) => return Ok(()),
        (true, false) => {
            "this program is built without MPI: build it with --features mpi, or start it once, without a launcher"
        }
        (false, _) => "only `train` and `pretrain` run as several: start this command once, without a launcher",
    };
    Err(Failure::Usage(format!("{size} processes were launched ({variable}), but {missing}")))
}

/// Never dropped by a process that fails, because that would wait for the others.
#[cfg(feature = "mpi")]
static MEMBERSHIP: Mutex<Option<Membership>> = Mutex::new(None);

/// Joins the other processes, if a launcher has started any.
#[cfg(feature = "mpi")]
pub(crate) fn join(RankArgs { rank_timeout }: RankArgs) -> Result<Ranks, Failure> {
    let Some(Launched { variable, size, rank }) = Launched::get() else { return Ok(Ranks::default()) };
    let stalled = move || {
        report::error(&format!(
            "rank {rank} has waited {rank_timeout} s (--rank-timeout) for the other ranks: one of them has \
             stalled, or cannot be reached; the run ends, and can be resumed from its newest checkpoint"
        ));
        process::exit(1);
    };
    let joined = mpi::join(Duration::from_secs(rank_timeout.into()), stalled);
    let (ranks, membership) = joined.ok_or_else(|| Failure::Failed("MPI cannot be initialized".to_owned()))?;
    *MEMBERSHIP.lock().unwrap_or_else(PoisonError::into_inner) = Some(membership);
    if ranks.size() != size {
        return Err(Failure::Failed(format!(
            "{size} processes were launched ({variable}), but MPI knows {}: start them with the launcher of the MPI \
             that this program was built with",
            ranks.size()
        )));
    }
    Ok(ranks)
}

/// Without MPI there are none to join.
#[cfg(not(feature = "mpi"))]
pub(crate) fn join(_: RankArgs) -> Result<Ranks, Failure> {
    Ok(Ranks::default())
}

/// Leaves the other processes, once they all do.
pub(crate) fn leave() {
    #[cfg(feature = "mpi")]
    drop(MEMBERSHIP.lock().unwrap_or_else(PoisonError::into_inner).take());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launchers_are_recognized_by_their_variables() {
        let find = |given: &[(&str, &str)]| {
            let value = |name: &str| given.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
            Launched::find(value).map(|Launched { size, rank, .. }| (size, rank))
        };
        assert_eq!(find(&[("OMPI_COMM_WORLD_SIZE", "4"), ("OMPI_COMM_WORLD_RANK", "3")]), Some((4, 3)));
        assert_eq!(find(&[("PMI_SIZE", "2"), ("PMI_RANK", "0")]), Some((2, 0)));
        assert_eq!(find(&[("SLURM_STEP_NUM_TASKS", "8"), ("SLURM_PROCID", "7")]), Some((8, 7)));
        // One process, a job without a step, or no launcher at all.
        for alone in [&[("PMI_SIZE", "1"), ("PMI_RANK", "0")][..], &[("SLURM_NTASKS", "8")], &[]] {
            assert_eq!(find(alone), None);
        }
    }
}
