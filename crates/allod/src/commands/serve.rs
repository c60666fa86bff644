//! `allod serve`: the server, in production.

use std::{path::Path, sync::Arc};

use super::{Failure, load_config, usable};
use crate::{config::Settings, data_directory::DataDirectory, launch, logging, runtime};

/// Reads the configuration and runs the server until it is told to stop.
pub(super) fn run(config: Option<&Path>) -> Result<(), Failure> {
    let settings = usable(load_config(config)?)?;
    logging::start(&settings.log, settings.log_format);
    runtime::for_server().map_err(Failure::failed)?.block_on(serve(settings))
}

async fn serve(settings: Settings) -> Result<(), Failure> {
    let stop = runtime::stop_on_signal().map_err(Failure::failed)?;
    let data = DataDirectory::create(&settings.data_directory).map_err(Failure::failed)?;
    let (listener, address) =
        launch::listen(settings.bind_address, settings.port, "ALLOD_PORT (or `port` in the file)").await?;
    let db = launch::open_store(&data.database())?;
    let app = launch::app(settings.into_config(address.port()), db, &data)?;
    let config = &app.config;
    let ready = || {
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            %address,
            url = config.service.public_url,
            did = %config.service.did,
            data = %data.path().display(),
            directory = %config.identity.plc_url,
            "serving"
        );
    };
    launch::run(Arc::clone(&app), listener, &data, ready, stop.cancelled()).await;
    tracing::info!("stopped");
    Ok(())
}
