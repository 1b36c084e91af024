//! What a run came to: the model is JSON with a version; the table, the page and the comparison are made of it alone.

mod compare;
mod figures;
mod metric;
mod model;
mod page;
mod plot;
mod table;
mod target;
#[cfg(test)]
mod tests;

pub use compare::compare;
pub use figures::{Figures, Share, WayFigures};
pub use model::{Capacity, FloorSettings, LoadReport, Machine, Measured, Point, SCHEMA, Server, Subject};
pub use page::page;
pub use table::table;
pub use target::{Verdict, verdicts};
