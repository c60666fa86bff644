//! How long the disk takes to make a small write durable: quoted beside every rate of writes.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::summary;
use crate::{servers, timing};

/// How much is appended before each sync, in bytes.
const APPENDED: [u8; 4096] = [7; 4096];
/// How long it is measured.
const TIME: Duration = Duration::from_millis(500);

/// Appends and syncs below `target/`, where servers under measurement have their data.
pub(super) fn sync_millis(root: &Path) -> io::Result<Value> {
    let mut file = File::create(servers::scratch(root, "bench-disk")?.join("appended"))?;
    let (start, mut times) = (timing::now(), Vec::new());
    while start.elapsed() < TIME {
        let start = timing::now();
        file.write_all(&APPENDED)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    Ok(summary::millis(&times))
}
