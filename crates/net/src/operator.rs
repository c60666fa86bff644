//! The HTTP client for services of the operator's choice: the did:plc directory, captcha and telephone services.
//!
//! Connects to any address, since such a service may run on this machine or in a private network.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::{dns::Dns, limits::OPERATOR_CONNECT_SECS_MAX};

/// Builds a client. It follows no redirects; the caller sets a timeout on each request.
pub fn client(dns: &Arc<Dns>) -> Result<reqwest::Client, reqwest::Error> {
    // Fails if a provider is installed, which is then this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    #[expect(clippy::disallowed_methods, reason = "the operator chose the address, which may be on this machine")]
    let builder = reqwest::Client::builder();
    builder
        .dns_resolver(Arc::new(Names(Arc::clone(dns))))
        .connect_timeout(Duration::from_secs(OPERATOR_CONNECT_SECS_MAX))
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("allod/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Resolves names to all of their addresses, private ones included.
struct Names(Arc<Dns>);

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let dns = Arc::clone(&self.0);
        Box::pin(async move {
            let addresses = dns.addresses(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}
