//! Readings from `/proc`.

use std::time::Instant;

use procfs::process::LimitValue;
use procfs::{CpuTime, Current, CurrentSI, KernelStats, Meminfo};

use super::cgroup::Cgroup;
use super::{Process, Readings};

/// Takes readings, and remembers what the next ones are compared with.
pub(crate) struct Sampler {
    cgroup: Cgroup,
    ticks_per_second: f64,
    page_size: f64,
    host: Option<Busy>,
    quota: Option<QuotaUse>,
}

/// Ticks of the CPUs that are ours, since the boot.
#[derive(Clone, Copy)]
struct Busy {
    busy: u64,
    total: u64,
    cpus: usize,
}

/// CPU time of the control group that has the quota.
#[derive(Clone, Copy)]
struct QuotaUse {
    at: Instant,
    seconds: f64,
}

impl Sampler {
    pub(crate) fn new() -> Sampler {
        Sampler {
            cgroup: Cgroup::of_this_process(),
            ticks_per_second: procfs::ticks_per_second() as f64,
            page_size: procfs::page_size() as f64,
            host: None,
            quota: None,
        }
    }

    pub(crate) fn sample(&mut self) -> Readings {
        let stats = KernelStats::current().ok();
        let process = procfs::process::Process::myself().ok();
        let (memory_percent, memory_total) = self.memory();
        Readings {
            cpu_percent: self.cpu(stats.as_ref(), process.as_ref()),
            memory_percent,
            memory_total,
            process: self.process(stats.as_ref(), process.as_ref()),
        }
    }

    /// Percent since the last call.
    fn cpu(
        &mut self,
        stats: Option<&KernelStats>,
        process: Option<&procfs::process::Process>,
    ) -> Option<f64> {
        let allowed = process.and_then(|process| process.status().ok()?.cpus_allowed_list);
        let now = stats.map(|stats| busy(stats, allowed.as_deref()));
        let before = std::mem::replace(&mut self.host, now);
        // A quota above what the machine has limits nothing.
        let cpus = now.map_or(f64::INFINITY, |now| now.cpus as f64);
        if let Some(quota) = self.cgroup.cpu().filter(|quota| quota.cpus < cpus) {
            let now = QuotaUse { at: Instant::now(), seconds: quota.used_seconds };
            let before = self.quota.replace(now)?;
            let passed = (now.at - before.at).as_secs_f64() * quota.cpus;
            return percent(now.seconds - before.seconds, passed);
        }
        self.quota = None;
        let (before, now) = (before?, now?);
        // Idle time has been seen to go back by a tick.
        let busy = now.busy.saturating_sub(before.busy);
        percent(busy as f64, now.total.saturating_sub(before.total) as f64)
    }

    /// Percent, and bytes of all that is ours.
    fn memory(&self) -> (Option<f64>, Option<f64>) {
        let host = Meminfo::current().ok();
        let total = host.as_ref().map(|host| host.mem_total as f64);
        if let Some(group) = self.cgroup.memory() {
            let limit = group.limit as f64;
            if total.is_none_or(|total| limit < total) {
                return (percent(group.working_set as f64, limit), Some(limit));
            }
        }
        let Some(host) = host else { return (None, None) };
        let total = host.mem_total as f64;
        let used = host.mem_available.map(|available| total - available as f64);
        (used.and_then(|used| percent(used, total)), Some(total))
    }

    fn process(
        &self,
        stats: Option<&KernelStats>,
        process: Option<&procfs::process::Process>,
    ) -> Process {
        let Some(process) = process else { return Process::default() };
        let stat = process.stat().ok();
        let stat = stat.as_ref();
        let seconds = |ticks: u64| ticks as f64 / self.ticks_per_second;
        let max_fds = process.limits().ok().map(|limits| limits.max_open_files.soft_limit);
        Process {
            cpu_seconds: stat.map(|stat| seconds(stat.utime + stat.stime)),
            resident_bytes: stat.map(|stat| stat.rss as f64 * self.page_size),
            virtual_bytes: stat.map(|stat| stat.vsize as f64),
            open_fds: process.fd_count().ok().map(|fds| fds as f64),
            max_fds: max_fds.and_then(|limit| match limit {
                LimitValue::Value(value) => Some(value as f64),
                LimitValue::Unlimited => None,
            }),
            start_seconds: stat
                .zip(stats)
                .map(|(stat, stats)| stats.btime as f64 + seconds(stat.starttime)),
            threads: stat.map(|stat| stat.num_threads as f64),
        }
    }
}

/// The ticks of the CPUs in `allowed` (ranges, both ends included), or of all.
fn busy(stats: &KernelStats, allowed: Option<&[(u32, u32)]>) -> Busy {
    let all = stats.cpu_time.len();
    let times = stats.cpu_time.iter().enumerate();
    let ours = |cpu: usize| {
        let cpu = u32::try_from(cpu).unwrap_or(u32::MAX);
        allowed.is_none_or(|ranges| ranges.iter().any(|&(from, to)| (from..=to).contains(&cpu)))
    };
    let (mut busy, mut total, mut cpus) = (0, 0, 0);
    for (_, time) in times.filter(|&(cpu, _)| ours(cpu)) {
        let (time_busy, time_total) = split(time);
        busy += time_busy;
        total += time_total;
        cpus += 1;
    }
    if cpus == 0 {
        // CPUs that are switched off shift the numbers: better the whole machine than nothing.
        (busy, total) = split(&stats.total);
        cpus = all;
    }
    Busy { busy, total, cpus }
}

/// Busy and all ticks of one CPU. The time of guests is in `user` and `nice` already.
fn split(time: &CpuTime) -> (u64, u64) {
    let or_0 = Option::<u64>::unwrap_or_default;
    let busy = time.user
        + time.nice
        + time.system
        + or_0(time.irq)
        + or_0(time.softirq)
        + or_0(time.steal);
    (busy, busy + time.idle + or_0(time.iowait))
}

/// A share as 0 to 100; none of nothing.
fn percent(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| (part / whole * 100.0).clamp(0.0, 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_reads_itself() {
        let mut sampler = Sampler::new();
        let first = sampler.sample();
        assert!(first.cpu_percent.is_none(), "there is nothing to compare with");
        let process = first.process;
        assert!(process.resident_bytes.unwrap() > 1e5);
        assert!(process.virtual_bytes.unwrap() >= process.resident_bytes.unwrap());
        assert!(process.open_fds.unwrap() >= 3.0);
        assert!(process.threads.unwrap() >= 1.0);
        assert!(process.start_seconds.unwrap() > 1.6e9);
        assert!(process.cpu_seconds.is_some());
        assert!(first.memory_total.unwrap() > process.resident_bytes.unwrap());
        assert!((0.0..=100.0).contains(&first.memory_percent.unwrap()));
    }

    fn stats(cpus: &[(u64, u64)]) -> KernelStats {
        let line =
            |name: String, busy: u64, idle: u64| format!("{name} {busy} 0 0 {idle} 0 0 0 0\n");
        let sum = cpus.iter().fold((0, 0), |sum, cpu| (sum.0 + cpu.0, sum.1 + cpu.1));
        let mut text = line("cpu ".into(), sum.0, sum.1);
        for (n, cpu) in cpus.iter().enumerate() {
            text += &line(format!("cpu{n}"), cpu.0, cpu.1);
        }
        text += "ctxt 1\nbtime 1\nprocesses 1\n";
        let info = procfs::current_system_info();
        procfs::FromBufReadSI::from_buf_read(text.as_bytes(), info).unwrap()
    }

    #[test]
    fn only_the_cpus_that_are_ours_count() {
        let stats = stats(&[(10, 90), (50, 50), (100, 0)]);
        let of = |allowed| {
            let Busy { busy, total, cpus } = busy(&stats, allowed);
            (busy, total, cpus)
        };
        assert_eq!(of(None), (160, 300, 3));
        assert_eq!(of(Some(&[(0, 0), (2, 2)])), (110, 200, 2));
        assert_eq!(of(Some(&[(1, 63)])), (150, 200, 2));
        assert_eq!(of(Some(&[(8, 9)])), (160, 300, 3));
    }

    #[test]
    fn percents_stay_within_their_bounds() {
        assert_eq!(percent(1.0, 4.0), Some(25.0));
        assert_eq!(percent(5.0, 4.0), Some(100.0));
        assert_eq!(percent(-1.0, 4.0), Some(0.0));
        assert_eq!(percent(1.0, 0.0), None);
    }
}
