//! What the system says of memory: `/proc` and control groups. All figures in bytes; `None` where the system has no such file.

use std::fs;
use std::path::{Path, PathBuf};

/// What this process has now.
pub(super) fn resident() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// The most that this process ever had.
pub fn peak() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// What this process may still get: what the machine has, or its control groups allow if that is less.
pub(super) fn available() -> Option<u64> {
    let machine = kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let allowed = group_directories(Path::new("/sys/fs/cgroup"), &groups).filter_map(|group| left_in_group(&group));
    Some(allowed.fold(machine, u64::min))
}

/// The value of a line such as `VmRSS:      1234 kB`.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The directories of the control groups that a process is in, by the lines of `/proc/self/cgroup`, with all above them:
/// `0::/path` (version 2) and `5:memory:/path` (version 1). In a container the path may be one outside; what is not there
/// is passed over, and the top is the container's own.
fn group_directories(top: &Path, groups: &str) -> impl Iterator<Item = PathBuf> {
    let memory = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let top = match controllers {
            "" => top.to_path_buf(),
            _ if controllers.split(',').any(|controller| controller == "memory") => top.join("memory"),
            _ => return None,
        };
        Some((top, path.trim_start_matches('/')))
    });
    memory.flat_map(|(top, path)| {
        let below: Vec<PathBuf> = Path::new(path).ancestors().map(|path| top.join(path)).collect();
        below
    })
}

/// What a control group has left: its limit less what is used, of which unused file pages can be taken back.
fn left_in_group(group: &Path) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(group.join(name)).ok();
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok(); // `max` is no number: no limit
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
    fn this_process_has_memory() {
        let (resident, peak, available) = (resident().unwrap(), peak().unwrap(), available().unwrap());
        assert!(0 < resident && resident <= peak && available > 0, "{resident} {peak} {available}");
    }

    #[test]
    fn lines_of_proc() {
        let text = "Name:\tsimcse\nVmHWM:\t   20 kB\nVmRSS:\t   12 kB\n";
        assert_eq!((kilobytes(text, "VmRSS:"), kilobytes(text, "VmSwap:")), (Some(12 * 1024), None));
    }

    /// Directories of both versions, and what is left in each.
    #[test]
    fn control_groups() {
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
