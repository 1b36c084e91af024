//! Transfer headers and bodies.
