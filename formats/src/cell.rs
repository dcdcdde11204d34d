/// The text of one column of one record, as a format found it: a view into the record's value unless it held escapes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    /// Text that was marked as such, or that may be anything (CSV).
    Text(&'a str),
    /// The same, after its escapes were resolved.
    Unescaped(Box<str>),
    /// A number or a truth value of JSON.
    Literal(&'a str),
    /// Not text: the bytes of a raw value.
    Bytes(&'a [u8]),
}

impl Cell<'_> {
    /// The bytes of a value; `None` is NULL.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Null => None,
            Self::Text(text) | Self::Literal(text) => Some(text.as_bytes()),
            Self::Unescaped(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
        }
    }

    /// The text of a value; `None` is NULL or no text.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Literal(text) => Some(text),
            Self::Unescaped(text) => Some(text),
            Self::Null | Self::Bytes(_) => None,
        }
    }
}

/// The wanted columns of many records: one list of cells per column, all of the same length.
pub(crate) struct Cells<'a> {
    pub(crate) columns: Vec<Vec<Cell<'a>>>,
}

impl<'a> Cells<'a> {
    pub(crate) fn new(columns: usize, rows: usize) -> Self {
        let column = || Vec::with_capacity(rows);
        Self {
            columns: (0..columns).map(|_| column()).collect(),
        }
    }

    /// Begins a row whose cells are NULL until [`Cells::set`].
    pub(crate) fn begin_row(&mut self) {
        for column in &mut self.columns {
            column.push(Cell::Null);
        }
    }

    /// Sets a cell of the row begun last.
    #[inline]
    pub(crate) fn set(&mut self, column: usize, cell: Cell<'a>) {
        if let Some(last) = self.columns[column].last_mut() {
            *last = cell;
        }
    }

    /// Takes back the row begun last.
    pub(crate) fn drop_row(&mut self) {
        for column in &mut self.columns {
            column.pop();
        }
    }
}
