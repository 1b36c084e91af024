//! What a run came to: the model is JSON with a version; the table, the page and the comparison are made of it alone.

mod figures;
mod model;

pub use figures::{Figures, Share, WayFigures};
pub use model::{Capacity, FloorSettings, LoadReport, Machine, Measured, Point, SCHEMA, Server, Subject};
