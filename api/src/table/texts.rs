//! What the columns of a table are described with.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// Texts by number, and the number of each column of each table (`group/version/resource`).
#[derive(Deserialize)]
struct Texts {
    texts: Vec<String>,
    columns: HashMap<String, HashMap<String, usize>>,
}

static TEXTS: LazyLock<Texts> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../tables/column-texts.json"))
        .expect("the committed table is JSON of this shape")
});

/// The description of a column; empty if there is none. Name and time of creation are the same in all tables.
pub(super) fn describe(table: &str, column: &str) -> &'static str {
    let own = TEXTS.columns.get(table);
    let number = match (own, column) {
        (Some(columns), name) => columns.get(name).copied(),
        (None, "Name") => Some(0),
        (None, "Age" | "Created At") => Some(1),
        _ => None,
    };
    number.and_then(|number| TEXTS.texts.get(number)).map_or("", String::as_str)
}
