//! What the control groups leave this process: CPU quota and memory limit, versions 1 and 2.
//!
//! A limit may stand on the process's own group or on any group above it; the tightest one counts,
//! together with the use of the group that it stands on.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use procfs::ProcessCGroup;
use procfs::process::{MountInfo, Process};

/// Longer than any of the files.
const MOST_BYTES: u64 = 64 << 10;

/// Most groups above the process's own.
const MOST_GROUPS: usize = 64;

/// The folders of the process's groups, its own first. They are looked up once: a process is
/// seldom moved. Their files are read every time.
#[derive(Debug, Default)]
pub(crate) struct Cgroup {
    cpu: Folders,
    /// Of version 1, where use and quota may stand in two hierarchies.
    cpuacct: Folders,
    memory: Folders,
}

/// A controller's folders, and which version's files are in them.
#[derive(Debug, Default)]
struct Folders {
    v2: bool,
    folders: Vec<PathBuf>,
}

/// A CPU quota.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cpu {
    /// How many CPUs' time it allows.
    pub(crate) cpus: f64,
    /// What the group has used since it was made.
    pub(crate) used_seconds: f64,
}

/// A memory limit, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Memory {
    pub(crate) limit: u64,
    /// In use, without the file cache that can be dropped.
    pub(crate) working_set: u64,
}

impl Cgroup {
    /// The groups that this process is in; none where they are not to be seen.
    pub(crate) fn of_this_process() -> Cgroup {
        let found = Process::myself().and_then(|this| Ok((this.cgroups()?, this.mountinfo()?)));
        let Ok((groups, mounts)) = found else { return Cgroup::default() };
        Cgroup::find(&groups.0, &mounts.0)
    }

    fn find(groups: &[ProcessCGroup], mounts: &[MountInfo]) -> Cgroup {
        let controller = |name: &str| Folders::find(name, groups, mounts);
        Cgroup {
            cpu: controller("cpu"),
            cpuacct: controller("cpuacct"),
            memory: controller("memory"),
        }
    }

    /// The tightest CPU quota.
    pub(crate) fn cpu(&self) -> Option<Cpu> {
        let quotas = self.cpu.folders.iter().enumerate().filter_map(|(level, folder)| {
            let cpus = if self.cpu.v2 { quota_v2(folder) } else { quota_v1(folder) }?;
            let used_seconds = if self.cpu.v2 {
                keyed(folder, "cpu.stat", "usage_usec")? as f64 / 1e6
            } else {
                number(self.cpuacct.folders.get(level)?, "cpuacct.usage")? as f64 / 1e9
            };
            Some(Cpu { cpus, used_seconds })
        });
        quotas.min_by(|one, other| one.cpus.total_cmp(&other.cpus))
    }

    /// The tightest memory limit.
    pub(crate) fn memory(&self) -> Option<Memory> {
        let (limit, used, cache) = if self.memory.v2 {
            ("memory.max", "memory.current", "inactive_file")
        } else {
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        };
        let limits = self.memory.folders.iter().filter_map(|folder| {
            // Without a limit version 2 says `max`, which is no number; version 1 a huge number.
            let limit = number(folder, limit)?;
            let used = number(folder, used)?;
            let cache = keyed(folder, "memory.stat", cache).unwrap_or(0);
            Some(Memory { limit, working_set: used.saturating_sub(cache) })
        });
        limits.min_by_key(|memory| memory.limit)
    }
}

impl Folders {
    /// The folders of `controller` in version 1, else those of version 2.
    fn find(controller: &str, groups: &[ProcessCGroup], mounts: &[MountInfo]) -> Folders {
        let named = |group: &&ProcessCGroup| group.controllers.iter().any(|c| c == controller);
        let v1 = groups.iter().find(named).zip(mounts.iter().find(|mount| {
            mount.fs_type == "cgroup" && has_option(&mount.super_options, controller)
        }));
        let v2 = || {
            let group = groups.iter().find(|group| group.hierarchy == 0);
            group.zip(mounts.iter().find(|mount| mount.fs_type == "cgroup2"))
        };
        match v1 {
            Some((group, mount)) => Folders { v2: false, folders: folders(group, mount) },
            None => match v2() {
                Some((group, mount)) => Folders { v2: true, folders: folders(group, mount) },
                None => Folders::default(),
            },
        }
    }
}

fn has_option(options: &HashMap<String, Option<String>>, name: &str) -> bool {
    options.get(name).is_some_and(Option::is_none)
}

/// The group's folder and those above it, up to where the hierarchy is mounted.
fn folders(group: &ProcessCGroup, mount: &MountInfo) -> Vec<PathBuf> {
    // The mount shows the hierarchy from `root` down. A path that leads elsewhere (`/../x`, or the
    // host's path in a container without a namespace) leaves only the mount itself.
    let inside = Path::new(&group.pathname).strip_prefix(&mount.root).unwrap_or(Path::new(""));
    let plain = inside.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let inside = if plain { inside } else { Path::new("") };
    let own = mount.mount_point.join(inside);
    let own = if own.is_dir() { own } else { mount.mount_point.clone() };
    let up_to_mount = own.ancestors().take_while(|folder| folder.starts_with(&mount.mount_point));
    up_to_mount.take(MOST_GROUPS).map(Path::to_path_buf).collect()
}

/// `QUOTA PERIOD` in microseconds, or `max PERIOD`.
fn quota_v2(folder: &Path) -> Option<f64> {
    let text = read(folder, "cpu.max")?;
    let (quota, period) = text.trim().split_once(' ')?;
    share(quota.parse().ok()?, period.parse().ok()?)
}

/// Microseconds; a quota of -1 is none.
fn quota_v1(folder: &Path) -> Option<f64> {
    share(number(folder, "cpu.cfs_quota_us")?, number(folder, "cpu.cfs_period_us")?)
}

fn share(quota: u64, period: u64) -> Option<f64> {
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

/// The number that is all of a file.
fn number(folder: &Path, file: &str) -> Option<u64> {
    read(folder, file)?.trim().parse().ok()
}

/// The number after `key` in a file of keys and numbers.
fn keyed(folder: &Path, file: &str, key: &str) -> Option<u64> {
    let text = read(folder, file)?;
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(found, _)| *found == key)?.1.trim().parse().ok()
}

fn read(folder: &Path, file: &str) -> Option<String> {
    let mut text = String::new();
    let file = File::open(folder.join(file)).ok()?;
    file.take(MOST_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::export::textfile::scratch::Folder;

    fn group(line: &str) -> ProcessCGroup {
        let parsed: procfs::ProcessCGroups =
            procfs::FromBufRead::from_buf_read(line.as_bytes()).unwrap();
        parsed.0.into_iter().next().unwrap()
    }

    fn mount(root: &str, at: &Path, kind: &str, options: &str) -> MountInfo {
        let at = at.display();
        let line = format!("31 23 0:28 {root} {at} rw,relatime - {kind} {kind} rw{options}");
        MountInfo::from_line(&line).unwrap()
    }

    fn put(folder: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
    }

    #[test]
    fn version_2_with_limits_on_two_levels() {
        let top = Folder::new();
        let at = |path: &str| top.path().join(path);
        put(
            &at("pod"),
            &[
                ("cpu.max", "150000 100000\n"),
                ("cpu.stat", "usage_usec 2500000\nuser_usec 1\n"),
                ("memory.max", "1000\n"),
                ("memory.current", "600\n"),
                ("memory.stat", "anon 1\ninactive_file 100\n"),
            ],
        );
        put(
            &at("pod/box"),
            &[
                ("cpu.max", "max 100000\n"),
                ("cpu.stat", "usage_usec 1\n"),
                ("memory.max", "2000\n"),
                ("memory.current", "1\n"),
            ],
        );
        let groups = [group("0::/pod/box\n")];
        let cgroup = Cgroup::find(&groups, &[mount("/", top.path(), "cgroup2", "")]);
        assert_eq!(cgroup.cpu(), Some(Cpu { cpus: 1.5, used_seconds: 2.5 }));
        assert_eq!(cgroup.memory(), Some(Memory { limit: 1000, working_set: 500 }));
    }

    #[test]
    fn version_1_with_a_hierarchy_a_controller() {
        let top = Folder::new();
        let at = |path: &str| top.path().join(path);
        put(&at("cpu/box"), &[("cpu.cfs_quota_us", "50000\n"), ("cpu.cfs_period_us", "100000\n")]);
        put(&at("cpu"), &[("cpu.cfs_quota_us", "-1\n"), ("cpu.cfs_period_us", "100000\n")]);
        put(&at("cpuacct/box"), &[("cpuacct.usage", "3000000000\n")]);
        put(
            &at("memory/box"),
            &[
                ("memory.limit_in_bytes", "4096\n"),
                ("memory.usage_in_bytes", "4096\n"),
                ("memory.stat", "inactive_file 1\ntotal_inactive_file 1024\n"),
            ],
        );
        let groups = [
            group("3:memory:/box\n"),
            group("2:cpuacct:/box\n"),
            group("1:cpu:/box\n"),
            group("0::/\n"),
        ];
        let mounts = [
            mount("/", &at("cpu"), "cgroup", ",cpu"),
            mount("/", &at("cpuacct"), "cgroup", ",cpuacct"),
            mount("/", &at("memory"), "cgroup", ",memory"),
            mount("/", &at("unified"), "cgroup2", ""),
        ];
        let cgroup = Cgroup::find(&groups, &mounts);
        assert_eq!(cgroup.cpu(), Some(Cpu { cpus: 0.5, used_seconds: 3.0 }));
        assert_eq!(cgroup.memory(), Some(Memory { limit: 4096, working_set: 3072 }));
    }

    #[test]
    fn a_container_without_a_namespace_sees_its_own_group_as_the_mount() {
        let top = Folder::new();
        put(top.path(), &[("memory.max", "7"), ("memory.current", "7")]);
        let limit = |path: &str, root: &str| {
            let groups = [group(&format!("0::{path}\n"))];
            let cgroup = Cgroup::find(&groups, &[mount(root, top.path(), "cgroup2", "")]);
            cgroup.memory().map(|memory| memory.limit)
        };
        assert_eq!(limit("/docker/1", "/docker/1"), Some(7));
        assert_eq!(limit("/docker/1", "/"), Some(7), "the path is the host's");
        assert_eq!(limit("/../1", "/"), Some(7), "the path leads outside");
    }

    #[test]
    fn no_limit_is_none_and_nonsense_too() {
        let top = Folder::new();
        let groups = [group("0::/\n")];
        let cgroup = Cgroup::find(&groups, &[mount("/", top.path(), "cgroup2", "")]);
        assert_eq!((cgroup.cpu(), cgroup.memory()), (None, None));
        for (quota, limit) in [("max 100000", "max"), ("", ""), ("0 0", "-1"), ("x y", "1e3")] {
            put(top.path(), &[("cpu.max", quota), ("memory.max", limit)]);
            put(top.path(), &[("cpu.stat", "usage_usec 1\n"), ("memory.current", "1")]);
            assert_eq!((cgroup.cpu(), cgroup.memory()), (None, None), "{quota} {limit}");
        }
        assert_eq!(Cgroup::find(&[], &[]).cpu(), None);
    }
}
