//! A process's CPU time and memory, from /proc.

use std::fs;
use std::io;

/// Clock ticks in a second, as Linux tells user space on every common architecture.
const TICKS_PER_SEC: f64 = 100.0;

/// A running process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process(pub(super) u32);

impl Process {
    /// Reads the CPU time used so far by all its threads, ended ones included, in seconds.
    pub(super) fn cpu_secs(self) -> io::Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        cpu_ticks(&stat).map(|ticks| ticks / TICKS_PER_SEC).ok_or_else(|| malformed("stat"))
    }

    /// Reads the resident memory, in KiB.
    pub(super) fn rss_kib(self) -> io::Result<u64> {
        self.status("VmRSS:")
    }

    /// Reads the largest resident memory so far, in KiB.
    pub(super) fn rss_peak_kib(self) -> io::Result<u64> {
        self.status("VmHWM:")
    }

    fn status(self, field: &str) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        status_kib(&status, field).ok_or_else(|| malformed("status"))
    }
}

/// Adds user and system time in a line of /proc/PID/stat. The program's name may hold spaces and brackets.
fn cpu_ticks(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Reads the CPU time that the whole machine has used so far, in seconds.
pub(super) fn machine_cpu_secs() -> io::Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    machine_ticks(&stat).map(|ticks| ticks / TICKS_PER_SEC).ok_or_else(|| malformed("stat"))
}

/// Adds everything but idle and waiting time in the first line of /proc/stat.
fn machine_ticks(stat: &str) -> Option<f64> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let ticks: Vec<f64> = fields.map(str::parse).collect::<Result<_, _>>().ok()?;
    let [user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen, ..] = ticks.as_slice() else {
        return None;
    };
    Some(user + nice + system + interrupts + soft_interrupts + stolen)
}

fn status_kib(status: &str, field: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(field))?;
    value.split_whitespace().next()?.parse().ok()
}

fn malformed(file: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("/proc/PID/{file} has another form"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_user_and_system_time_behind_a_strange_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 1 0 99";
        assert_eq!(cpu_ticks(stat), Some(175.0));
        assert_eq!(cpu_ticks("nonsense"), None);
    }

    #[test]
    fn reads_the_whole_machine_s_time() {
        assert_eq!(machine_ticks("cpu  10 1 5 900 40 2 1 3 0 0\ncpu0 1 1"), Some(22.0));
        assert_eq!(machine_ticks("cpu0 1 1"), None);
        assert!(machine_cpu_secs().unwrap() > 0.0);
    }

    #[test]
    fn reads_memory() {
        assert_eq!(status_kib("Name:\tallod\nVmRSS:\t   20480 kB\n", "VmRSS:"), Some(20480));
        assert_eq!(status_kib("Name:\tallod\n", "VmRSS:"), None);
    }

    #[test]
    fn reads_this_process() {
        let own = Process(std::process::id());
        assert!(own.rss_kib().unwrap() > 0);
        assert!(own.cpu_secs().unwrap() >= 0.0);
    }
}
