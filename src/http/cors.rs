//! Pages of other origins (Fetch standard, CORS protocol): those of an allow-list may use the agents' side, with cookies.
//!
//! The exact origin goes back, never `*`, for the CometD client always sends cookies. A page that is not on the list is
//! refused before anything is done, whatever the browser would have let it see.

use axum::extract::Request;
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::origin::{Verdict, judge_any};
use super::{Link, Site};

/// What pages may send: the list of GWS.
const HEADERS: &str =
    "X-Requested-With,Content-Type,Accept,Origin,Cookie,authorization,ssid,surl,ContactCenterId,X-CSRF-TOKEN";
/// What pages may do: the list of GWS.
const METHODS: &str = "GET,POST,PUT,DELETE,OPTIONS";
/// What pages may read: the list of GWS.
const EXPOSED: &str = "X-CSRF-HEADER,X-CSRF-TOKEN";
/// Says whether a request comes from another site; browsers alone send it.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Judges a request by its origin. Returns the origin that may read the answer, if the request names one.
///
/// # Errors
/// The answer to a foreign page, or to a preflight.
#[expect(clippy::result_large_err, reason = "an answer is what it comes to")]
pub(super) fn judge(site: &Site, link: &Link, request: &Request) -> Result<Option<String>, Response> {
    let headers = request.headers();
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?").to_owned());
    let named = text(header::ORIGIN);
    let origin = named.clone().or_else(|| script_origin(text(SITE).as_deref(), text(header::REFERER)));
    let host = text(header::HOST);
    let allowed = site.config.origins.iter().chain(site.config.desk.origins.iter());
    match judge_any(allowed, link, origin.as_deref(), host.as_deref()) {
        Verdict::Allowed => {}
        Verdict::Foreign | Verdict::Missing => {
            return Err((StatusCode::FORBIDDEN, "this Origin is not allowed; see `origins` in the configuration\n")
                .into_response());
        }
    }
    if request.method() == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return Err(preflight(named.as_deref()));
    }
    Ok(named)
}

/// A script that another site's page includes (callback-polling) has no Origin; where its page stands, its Referer says.
fn script_origin(site: Option<&str>, referer: Option<String>) -> Option<String> {
    matches!(site, Some("cross-site" | "same-site")).then(|| page(referer))
}

/// The origin of a Referer. Without one it is some page that hides; `null` is nobody's origin.
fn page(referer: Option<String>) -> String {
    let referer = referer.unwrap_or_default();
    let end = referer.find("://").map(|at| at + 3).and_then(|from| Some(from + referer.get(from..)?.find('/')?));
    end.and_then(|end| referer.get(..end)).unwrap_or("null").to_owned()
}

/// Says whether a script may be answered that a page includes. Browsers tell HTTPS and this machine which site it stands on,
/// which [`judge`] looks at; a plain listener of the network learns it by the Referer alone, and who hides that is nobody.
pub(super) fn may_include(site: &Site, link: &Link, headers: &HeaderMap) -> bool {
    let is_judged =
        link.secure || link.local_only || headers.contains_key(header::ORIGIN) || headers.contains_key(SITE);
    if is_judged {
        return true;
    }
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?").to_owned());
    let (page, host) = (page(text(header::REFERER)), text(header::HOST));
    let allowed = site.config.origins.iter().chain(site.config.desk.origins.iter());
    judge_any(allowed, link, Some(&page), host.as_deref()) == Verdict::Allowed
}

fn preflight(origin: Option<&str>) -> Response {
    let mut response = allow(origin, StatusCode::NO_CONTENT.into_response());
    let headers = response.headers_mut();
    if origin.is_some() {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("120"));
    }
    response
}

/// Lets an origin read the answer.
pub(super) fn allow(origin: Option<&str>, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin.and_then(|origin| HeaderValue::from_str(origin).ok()) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_of_another_site_is_known_by_its_page() {
        let of = |site, referer: Option<&str>| script_origin(site, referer.map(str::to_owned));
        let desk = Some("https://desk.example/a/b?c");
        assert_eq!(of(Some("cross-site"), desk).as_deref(), Some("https://desk.example"));
        assert_eq!(of(Some("same-site"), desk).as_deref(), Some("https://desk.example"));
        assert_eq!(of(Some("cross-site"), None).as_deref(), Some("null"));
        assert_eq!(of(Some("cross-site"), Some("://")).as_deref(), Some("null"));
        assert_eq!(of(Some("same-origin"), desk), None);
        assert_eq!(of(None, desk), None);
    }
}
