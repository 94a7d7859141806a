//! What the documentation and the house rules promise, checked against the tree.

mod chapters;
mod examples;
mod import_graph;
mod imports;
mod links;
mod names;
mod operations;
mod support;
mod tables;
mod tidy;
