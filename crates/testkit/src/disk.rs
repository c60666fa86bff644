//! Faults of the disk that blobs are on.

use std::{collections::HashMap, io};

use allod_blobstore::disk::{DiskFaults, DiskStep};
use parking_lot::Mutex;

/// Fails steps of the disk's work on demand; none at first.
#[derive(Debug, Default)]
pub struct ScriptedDisk {
    script: Mutex<HashMap<DiskStep, Fault>>,
}

#[derive(Debug, Clone, Copy)]
struct Fault {
    passes: usize,
    kind: io::ErrorKind,
}

impl ScriptedDisk {
    /// Fails this step every time from now on, after it has passed `passes` times.
    pub fn fail(&self, step: DiskStep, passes: usize, kind: io::ErrorKind) {
        self.script.lock().insert(step, Fault { passes, kind });
    }

    /// Lets everything pass from now on.
    pub fn clear(&self) {
        self.script.lock().clear();
    }
}

impl DiskFaults for ScriptedDisk {
    fn before(&self, step: DiskStep) -> io::Result<()> {
        match self.script.lock().get_mut(&step) {
            Some(Fault { passes: 0, kind }) => Err((*kind).into()),
            Some(fault) => {
                fault.passes -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}
