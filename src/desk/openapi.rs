//! The OpenAPI 3.1 document of the REST API: `openapi/document.json`, as it is served.
//!
//! The tests hold it against [`super::request`]: each route stands in it and each of its operations is a route, its examples
//! are read, and its bounds are ours.

#[cfg(test)]
mod tests;

/// The document, JSON.
pub const DOCUMENT: &str = include_str!("openapi/document.json");
