//! `allod serve`: the server, in production.

use std::{path::Path, sync::Arc};

use super::{Failure, load_config, usable};
use crate::{
    config::{Problem, Settings},
    data_directory::DataDirectory,
    launch, logging, process_limits, runtime,
};

/// Reads the configuration and runs the server until it is told to stop.
pub(super) fn run(config: Option<&Path>) -> Result<(), Failure> {
    let (settings, warnings) = usable(load_config(config)?)?;
    let _log = logging::start(&settings.log, settings.log_format).map_err(Failure::failed)?;
    for Problem { place, message } in &warnings {
        tracing::warn!(setting = place.as_deref(), "{message}");
    }
    process_limits::forbid_core_dumps();
    runtime::for_server().map_err(Failure::failed)?.block_on(serve(settings))
}

async fn serve(settings: Settings) -> Result<(), Failure> {
    let stop = runtime::stop_on_signal().map_err(Failure::failed)?;
    let data = DataDirectory::create(&settings.data_directory)?;
    if let Some(warning) = data.permission_warning() {
        tracing::warn!("{warning}");
    }
    let (listener, address) =
        launch::listen(settings.bind_address, settings.port, "ALLOD_PORT (or `port` in the file)").await?;
    let fixed_port = settings.fixed_port();
    let mut config = settings.into_config(address.port());
    config.connections_max = process_limits::raise_open_files();
    let app = launch::open(config, &data, fixed_port).await?;
    let config = &app.config;
    let ready = || {
        tracing::info!(
            trusted_proxies = %config.trusted_proxies,
            "trusting X-Forwarded-For and Forwarded from these proxies"
        );
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
