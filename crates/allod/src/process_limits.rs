//! What the system allows this process: open files, and core dumps.

use allod_http::limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many file descriptors are reserved for the database, blobs, imports and outbound calls.
const FILES_RESERVED: u64 = 2048;

/// Lets this process open as many files as the system allows it, and tells how many connections that is enough for.
pub(crate) fn raise_open_files() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let files = if current != maximum && setrlimit(Resource::Nofile, raised).is_ok() { maximum } else { current };
    // No limit at all is enough for any number.
    let files = files.unwrap_or(u64::MAX);
    let connections_max = connections_for(files);
    if connections_max < limits::CONNECTIONS_MAX {
        tracing::warn!(
            files_max = files,
            connections_max,
            "the limit of open files is low (RLIMIT_NOFILE; LimitNOFILE= under systemd): the server accepts fewer than {} connections",
            limits::CONNECTIONS_MAX
        );
    }
    connections_max
}

/// How many connections are held where so many files may be open.
fn connections_for(files: u64) -> usize {
    let left = files - FILES_RESERVED.min(files / 2);
    usize::try_from(left).unwrap_or(usize::MAX).min(limits::CONNECTIONS_MAX)
}

/// Keeps this process's memory, which has keys, out of core dumps and away from other processes of its user.
pub(crate) fn forbid_core_dumps() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Core);
    let limited = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum });
    // A dump that is piped to a program is not subject to the limit.
    #[cfg(target_os = "linux")]
    let limited = limited.and(rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable));
    if let Err(error) = limited {
        tracing::warn!(%error, "core dumps can't be disabled: a core dump may contain keys");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_everything_else() {
        for (files, connections) in [
            (u64::MAX, limits::CONNECTIONS_MAX),
            (524_288, limits::CONNECTIONS_MAX),
            (FILES_RESERVED + 16_384, 16_384),
            (10_048, 8_000),
            (1_024, 512),
            (1, 1),
        ] {
            assert_eq!(connections_for(files), connections, "{files}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn memory_does_not_end_in_a_dump() {
        forbid_core_dumps();
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
        let dumpable = rustix::process::dumpable_behavior().unwrap();
        assert_eq!(dumpable, rustix::process::DumpableBehavior::NotDumpable);
    }
}
