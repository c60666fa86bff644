//! `allod plc`: a did:plc directory alone.

use super::Failure;
use crate::{
    cli::Plc, config::LogFormat, data_directory::DataDirectory, launch, local_directory, logging, output,
    process_limits, runtime,
};

/// Runs the directory until it is told to stop.
pub(super) fn run(arguments: &Plc) -> Result<(), Failure> {
    let _log = logging::start("info", LogFormat::Text).map_err(Failure::failed)?;
    process_limits::raise_open_files();
    runtime::for_server().map_err(Failure::failed)?.block_on(serve(arguments))
}

async fn serve(arguments: &Plc) -> Result<(), Failure> {
    let stop = runtime::stop_on_signal().map_err(Failure::failed)?;
    let data = DataDirectory::create(&arguments.data_dir)?;
    let (listener, address) = launch::listen(arguments.bind, arguments.port, "--port").await?;
    let db = launch::open_store(&data.plc_database())?;
    output::text(format_args!("did:plc directory on http://{address}, data in {}\n", data.path().display()));
    local_directory::run(listener, db, stop.cancelled_owned()).await
}
