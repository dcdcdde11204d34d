/// Why a datum is not of its schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}{}: {message}", after_comma(path))]
pub struct DataError {
    /// Where the value begins that is wrong, or where the data should have ended.
    pub offset: usize,
    /// The fields that lead there: `items[3].price`, `labels["colour"]`; empty at the root.
    pub path: String,
    pub message: String,
}

fn after_comma(path: &str) -> String {
    match path {
        "" => String::new(),
        path => format!(", {path}"),
    }
}
