//! Each GWS of the configuration: through us, or reached by the page itself.

use std::sync::Arc;

use axum::http::uri::Scheme;

use super::StartError;
use crate::config::{Config, GwsConfig};
use crate::http::GwsPlace;
use crate::http::gws::Upstream;
use crate::io::tls_peer::PeerTls;

/// Makes the list that the page shows.
pub(super) fn places(config: &Config) -> Vec<GwsPlace> {
    let url = |gws: &GwsConfig| match gws.direct {
        true => gws.url.trim_end_matches('/').to_owned(),
        false => format!("/gws/{}", gws.name),
    };
    config.gws.iter().map(|gws| GwsPlace { name: gws.name.clone(), url: url(gws) }).collect()
}

/// Makes the origins that the page may call by itself: HTTPS and WSS alone.
pub(super) fn direct(config: &Config) -> Vec<String> {
    let direct = config.gws.iter().filter(|gws| gws.direct);
    let authorities = direct.filter_map(|gws| gws.uri()?.into_parts().authority);
    authorities.flat_map(|at| [format!("https://{at}"), format!("wss://{at}")]).collect()
}

/// Makes the ways through us.
pub(in crate::app) fn upstreams(config: &Config) -> Result<Vec<Upstream>, StartError> {
    let through = config.gws.iter().filter(|gws| !gws.direct).filter_map(|gws| Some((gws, gws.uri()?.into_parts())));
    let each = through.filter_map(|(gws, parts)| Some((gws, parts.scheme?, parts.authority?, parts.path_and_query)));
    each.map(|(gws, scheme, authority, path)| {
        let tls = match scheme == Scheme::HTTPS {
            true => Some(tls(gws)?),
            false => None,
        };
        let base = path.map(|path| path.path().trim_end_matches('/').to_owned()).unwrap_or_default();
        let (name, paths) = (gws.name.clone(), gws.paths.clone());
        Ok(Upstream { name, scheme, authority, base, paths, tls, connections: gws.connections })
    })
    .collect()
}

fn tls(gws: &GwsConfig) -> Result<Arc<rustls::ClientConfig>, StartError> {
    let peer = PeerTls { ca: gws.ca.clone(), unverified: !gws.verify, certificates: None };
    peer.client_config().map_err(|error| StartError::GwsTls { gws: gws.name.clone(), error })
}
