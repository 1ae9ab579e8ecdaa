//! What the system reports about memory: `/proc` and control groups. All figures are in bytes, and
//! `None` if the system has no such file.

use std::fs;
use std::path::{Path, PathBuf};

/// The memory that this process uses now.
pub(super) fn resident() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// The most memory that this process has used so far, in bytes; `None` if the system does not say.
///
/// ```
/// if let Some(bytes) = simcse_train::memory::peak_memory() {
///     println!("at most {} MB so far", bytes / 1_000_000);
///     # assert!(bytes > 0);
/// }
/// ```
pub fn peak() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// The most memory that this process may use: what it holds now, and what it may still get.
pub(super) fn limit() -> Option<u64> {
    let held = unreclaimable(&fs::read_to_string("/proc/self/status").ok()?)?;
    let machine = kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    Some(held + available(machine, Path::new("/sys/fs/cgroup"), &groups))
}

/// The memory that this process may still get: what the machine has available, or what the
/// process's control groups (see [`group_directories`]) allow if that is less.
fn available(machine: u64, top: &Path, groups: &str) -> u64 {
    group_directories(top, groups).filter_map(|group| left_in_group(&group)).fold(machine, u64::min)
}

/// The part of a process's memory that the kernel cannot reclaim, from its `/proc/self/status`. The
/// rest are pages of files, such as those of the program itself, which count as available.
fn unreclaimable(status: &str) -> Option<u64> {
    match kilobytes(status, "RssAnon:") {
        Some(anonymous) => Some(anonymous + kilobytes(status, "RssShmem:").unwrap_or(0)),
        // Kernels before 4.5 do not tell them apart.
        None => kilobytes(status, "VmRSS:"),
    }
}

/// The value of a line such as `VmRSS:      1234 kB`.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The directories of the control groups that a process is in, with all their ancestors. `groups`
/// is the content of `/proc/self/cgroup`: `0::/path` (version 2), `5:memory:/path` (version 1). In
/// a container, the path may be that of the host; directories that do not exist are ignored by the
/// caller, and `top` is the container's own group.
fn group_directories(top: &Path, groups: &str) -> impl Iterator<Item = PathBuf> {
    let memory = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?;
        let path = fields.next()?;
        let top = match controllers {
            "" => top.to_path_buf(),
            _ if controllers.split(',').any(|controller| controller == "memory") => top.join("memory"),
            _ => return None,
        };
        Some((top, path.trim_start_matches('/')))
    });
    memory.flat_map(|(top, path)| {
        let directories: Vec<PathBuf> = Path::new(path).ancestors().map(|path| top.join(path)).collect();
        directories
    })
}

/// The memory that a control group has left: its limit minus its usage. Inactive file pages are
/// counted as usage, but the kernel can reclaim them.
fn left_in_group(group: &Path) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(group.join(name)).ok();
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok(); // `max` means no limit
    let limit = number("memory.max").or_else(|| number("memory.limit_in_bytes"))?;
    let used = number("memory.current").or_else(|| number("memory.usage_in_bytes"))?;
    let statistics = read("memory.stat").unwrap_or_default();
    let statistic = |name| statistics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    let files = statistic("total_inactive_file ").or_else(|| statistic("inactive_file ")).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(files)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_reports_this_process() {
        let resident = resident().unwrap();
        let peak = peak().unwrap();
        let limit = limit().unwrap();
        assert!(0 < resident && resident <= peak && limit > 0, "{resident} {peak} {limit}");
    }

    #[test]
    fn kilobytes_are_read_from_lines_of_proc() {
        let text = "Name:\tsimcse\nVmHWM:\t   20 kB\nVmRSS:\t   12 kB\n";
        assert_eq!((kilobytes(text, "VmRSS:"), kilobytes(text, "VmSwap:")), (Some(12 * 1024), None));
    }

    #[test]
    fn a_process_alone_in_a_group_may_use_all_that_the_group_allows() {
        const KILOBYTE: u64 = 1024;
        let top = tempfile::tempdir().unwrap();
        // 500 kB of its own, and 20 kB of the program's file, which the group counts as inactive.
        let status = "VmRSS:\t 520 kB\nRssAnon:\t 400 kB\nRssFile:\t 20 kB\nRssShmem:\t 100 kB\n";
        for (name, bytes) in
            [("memory.max", 800), ("memory.current", 550)].map(|(name, kilobytes)| (name, kilobytes * KILOBYTE))
        {
            fs::write(top.path().join(name), format!("{bytes}\n")).unwrap();
        }
        fs::write(top.path().join("memory.stat"), format!("anon 512000\ninactive_file {}\n", 50 * KILOBYTE)).unwrap();
        let limit = |machine| unreclaimable(status).unwrap() + available(machine, top.path(), "0::/\n");
        assert_eq!(limit(900 * KILOBYTE), 800 * KILOBYTE);
        assert_eq!(limit(200 * KILOBYTE), 700 * KILOBYTE, "the machine has less");
        assert_eq!(unreclaimable("VmRSS:\t 520 kB\n"), Some(520 * KILOBYTE));
    }

    #[test]
    fn control_groups_of_both_versions_limit_memory() {
        let top = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = top.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("a/memory.max", "1000\n");
        put("a/memory.current", "700\n");
        put("a/memory.stat", "anon 500\ninactive_file 150\n");
        put("a/b/memory.max", "max\n");
        put("a/b/memory.current", "700\n");
        put("memory/c/memory.limit_in_bytes", "90\n");
        put("memory/c/memory.usage_in_bytes", "100\n");
        put("memory/c/memory.stat", "inactive_file 1\ntotal_inactive_file 20\n");
        let left = |groups: &str| -> Vec<Option<u64>> {
            group_directories(top.path(), groups).map(|group| left_in_group(&group)).collect()
        };
        assert_eq!(left("0::/a/b\n"), [None, Some(450), None]);
        assert_eq!(left("3:cpu,memory:/c\n4:pids:/a\n"), [Some(10), None]);
        assert_eq!(left("0::/elsewhere\n"), [None, None]);
    }
}
