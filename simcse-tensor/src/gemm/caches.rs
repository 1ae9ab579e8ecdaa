//! The caches of this processor, as it reports them.

use std::sync::OnceLock;

/// The sizes of caches, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caches {
    /// L2, divided by the hardware threads that share it.
    pub(super) l2: usize,
    /// The L3 that one core reaches, shared or not. Processors with several have one for each group
    /// of cores.
    pub(super) l3: usize,
}

impl Caches {
    /// Those of one core. What is not reported is taken to be 512 KiB and 8 MiB, as
    /// most processors have at least that.
    pub(super) fn detected() -> Self {
        static CACHES: OnceLock<Caches> = OnceLock::new();
        *CACHES.get_or_init(|| {
            let [l2, l3] = [2, 3].map(reported);
            let l2 = l2.map_or(512 << 10, |(bytes, threads)| bytes / threads.max(1));
            Self { l2, l3: l3.map_or(8 << 20, |(bytes, _)| bytes) }
        })
    }
}

/// The bytes of the cache of a level, and the hardware threads that share it.
#[cfg(target_arch = "x86_64")]
fn reported(level: u8) -> Option<(usize, usize)> {
    let mut caches = raw_cpuid::CpuId::new().get_cache_parameters()?;
    let cache = caches.find(|cache| cache.level() == level)?;
    let line = cache.physical_line_partitions() * cache.coherency_line_size();
    Some((line * cache.associativity() * cache.sets(), cache.max_cores_for_cache()))
}

/// The same, from Linux: only the system can read the registers of other architectures.
#[cfg(not(target_arch = "x86_64"))]
fn reported(level: u8) -> Option<(usize, usize)> {
    (0..8).find_map(|index| {
        let directory = format!("/sys/devices/system/cpu/cpu0/cache/index{index}");
        let read = |name| std::fs::read_to_string(format!("{directory}/{name}")).ok();
        (read("level")?.trim() == level.to_string()).then_some(())?;
        described(&read("size")?, &read("shared_cpu_map")?)
    })
}

/// The bytes and threads of Linux's description of a cache, such as `1024K` and `0000,00000003`: a
/// mask of threads in hexadecimal.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn described(size: &str, threads: &str) -> Option<(usize, usize)> {
    let kib: usize = size.trim().strip_suffix('K')?.parse().ok()?;
    let threads = threads.chars().filter_map(|digit| digit.to_digit(16)).map(u32::count_ones).sum::<u32>();
    Some((kib << 10, threads as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_describes_sizes_and_threads() {
        assert_eq!(described("1024K\n", "0000,00000003\n"), Some((1 << 20, 2)));
        assert_eq!(described("32768K\n", "ffff\n"), Some((32 << 20, 16)));
        assert_eq!(described("0K\n", "\n"), Some((0, 0)));
        assert_eq!(described("8M\n", "1\n"), None);
    }
}
