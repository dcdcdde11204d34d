//! A reader's schema as columns.

use std::sync::Arc;

use arrow_schema::{
    DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, Field, FieldRef, Fields, IntervalUnit,
    SchemaRef, TimeUnit,
};
use millstream_schema_registry_avro::{Kind, Logical, NodeId, Record, Schema};

use super::{
    columns::{Column, Columns, Form, Storage},
    derive::column_name,
};

/// More columns than anybody means: types that are used twice and contain types that are used twice multiply.
const MAX_COLUMNS: usize = 10_000;
/// Structs, lists and maps that lie deeper in each other are JSON.
const MAX_NESTING: usize = 32;
/// The column of a schema that is no record.
const VALUE: &str = "value";

/// Which types columns may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Types {
    /// What comes nearest among Arrow's: records are structs, arrays lists, maps maps.
    Arrow,
    /// Those that every format carries ([`millstream_sdk::is_supported`]). Records, arrays, maps are JSON, times of day and
    /// durations text.
    Plain,
}

/// Why a schema cannot be columns.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    #[error("the schema has more than {MAX_COLUMNS} columns")]
    TooManyColumns,
    #[error("the projection names column {index}, there are {columns} columns and each may be named once")]
    Projection { index: usize, columns: usize },
}

/// The columns that a reader's schema has, or those of them that are wanted.
#[derive(Clone, Debug)]
pub struct Layout {
    pub(super) reader: Schema,
    pub(super) columns: Vec<Column>,
    /// For each column its field in the root record; none if the root is no record and is one column itself.
    pub(super) fields: Option<Vec<usize>>,
    schema: SchemaRef,
}

impl Layout {
    /// All columns: the fields of a record, else one that is called `value`.
    pub fn new(reader: &Schema, types: Types) -> Result<Self, LayoutError> {
        let mut shaper = Shaper {
            schema: reader,
            types,
            around: Vec::new(),
            columns: 0,
        };
        let root = reader.root();
        let (columns, fields) = match reader.kind(root) {
            Kind::Record(record) => {
                shaper.around.push(root);
                (
                    shaper.fields(record, 0)?,
                    Some((0..record.fields.len()).collect()),
                )
            }
            _ => (vec![shaper.outermost(VALUE, root)?], None),
        };
        Ok(Self::of(reader.clone(), columns, fields))
    }

    /// One column, `value`, that holds all of it as JSON.
    pub fn json(reader: &Schema) -> Self {
        let value = column(VALUE, DataType::Utf8, false, Form::Json, Vec::new());
        Self::of(reader.clone(), vec![value], None)
    }

    /// Some of the columns, each at most once, in the wanted order. Others are not decoded.
    pub fn project(&self, wanted: &[usize]) -> Result<Self, LayoutError> {
        for (place, index) in wanted.iter().enumerate() {
            if *index >= self.columns.len() || wanted[..place].contains(index) {
                return Err(LayoutError::Projection {
                    index: *index,
                    columns: self.columns.len(),
                });
            }
        }
        let columns = wanted.iter().map(|index| self.columns[*index].clone());
        let fields = self.fields.as_ref();
        let fields = fields.map(|fields| wanted.iter().map(|index| fields[*index]).collect());
        Ok(Self::of(self.reader.clone(), columns.collect(), fields))
    }

    fn of(reader: Schema, mut columns: Vec<Column>, fields: Option<Vec<usize>>) -> Self {
        Columns::assign(&mut columns);
        let arrow: Vec<_> = columns.iter().map(|column| column.field.clone()).collect();
        Self {
            reader,
            columns,
            fields,
            schema: Arc::new(arrow_schema::Schema::new(arrow)),
        }
    }

    /// The schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The Avro schema that values are read as.
    pub fn reader(&self) -> &Schema {
        &self.reader
    }
}

/// Finds the column of each node.
struct Shaper<'s> {
    schema: &'s Schema,
    types: Types,
    /// The records around the node, from the root on.
    around: Vec<NodeId>,
    columns: usize,
}

/// Why a node is no column of its own.
enum Stop {
    /// It contains the record with this place in `around`, which is around it.
    Recursion(usize),
    Error(LayoutError),
}

impl Shaper<'_> {
    /// The columns of a record whose place in `around` is known.
    fn fields(&mut self, record: &Record, place: usize) -> Result<Vec<Column>, LayoutError> {
        let fields = record.fields.iter();
        let column = |field: &millstream_schema_registry_avro::Field| {
            match self.column(column_name(field), field.schema) {
                // The root is a record that contains itself in this field: the field is where that is cut off.
                Err(Stop::Recursion(record)) if record >= place => {
                    self.around.truncate(place + 1);
                    Ok(self.json(column_name(field), self.is_nullable(field.schema)))
                }
                Err(Stop::Recursion(_)) => unreachable!("nothing is around the root"),
                Err(Stop::Error(error)) => Err(error),
                Ok(column) => Ok(column),
            }
        };
        fields.map(column).collect()
    }

    /// The column of a root that is no record.
    fn outermost(&mut self, name: &str, node: NodeId) -> Result<Column, LayoutError> {
        match self.column(name, node) {
            Ok(column) => Ok(column),
            Err(Stop::Error(error)) => Err(error),
            Err(Stop::Recursion(_)) => {
                unreachable!("a record that contains itself becomes JSON where it begins")
            }
        }
    }

    fn is_nullable(&self, node: NodeId) -> bool {
        let is_null = |branch: &NodeId| matches!(self.schema.kind(*branch), Kind::Null);
        match self.schema.kind(node) {
            Kind::Null => true,
            Kind::Union(branches) => branches.iter().any(is_null),
            _ => false,
        }
    }

    fn json(&self, name: &str, nullable: bool) -> Column {
        column(name, DataType::Utf8, nullable, Form::Json, Vec::new())
    }

    fn column(&mut self, name: &str, node: NodeId) -> Result<Column, Stop> {
        self.columns += 1;
        if self.columns > MAX_COLUMNS {
            return Err(Stop::Error(LayoutError::TooManyColumns));
        }
        let schema = self.schema;
        let nullable = self.is_nullable(node);
        let node = match schema.kind(node) {
            Kind::Union(branches) => {
                let is_value = |branch: &&NodeId| !matches!(schema.kind(**branch), Kind::Null);
                let values: Vec<_> = branches.iter().filter(is_value).collect();
                match values[..] {
                    [] => return Ok(column(name, DataType::Null, true, Form::Native, Vec::new())),
                    [only] => *only,
                    _ => return Ok(self.json(name, nullable)),
                }
            }
            _ => node,
        };
        if let Some(data_type) = scalar(schema, node) {
            let (data_type, form) = self.allowed(schema, node, data_type);
            return Ok(column(name, data_type, nullable, form, Vec::new()));
        }
        if self.types == Types::Plain || self.around.len() >= MAX_NESTING {
            return Ok(self.json(name, nullable));
        }
        self.nested(name, node, nullable)
    }

    /// The type of a single value, and how it stands there.
    fn allowed(&self, schema: &Schema, node: NodeId, data_type: DataType) -> (DataType, Form) {
        let is_uuid = schema.node(node).logical == Some(Logical::Uuid);
        match data_type {
            DataType::Utf8 if is_uuid && !matches!(schema.kind(node), Kind::String) => {
                (data_type, Form::Text)
            }
            DataType::FixedSizeBinary(_) if self.types == Types::Plain => (DataType::Binary, Form::Native),
            DataType::Null => (data_type, Form::Native),
            data_type if self.types == Types::Arrow || millstream_sdk::is_supported(&data_type) => {
                (data_type, Form::Native)
            }
            _ => (DataType::Utf8, Form::Text),
        }
    }

    fn nested(&mut self, name: &str, node: NodeId, nullable: bool) -> Result<Column, Stop> {
        // Lists and maps count as nesting too; they cannot contain themselves without a record.
        if let Some(place) = self.around.iter().position(|around| *around == node) {
            return Err(Stop::Recursion(place));
        }
        let place = self.around.len();
        self.around.push(node);
        let nested = self.inside(name, node, nullable);
        self.around.truncate(place);
        match nested {
            Err(Stop::Recursion(record)) if record == place => Ok(self.json(name, nullable)),
            other => other,
        }
    }

    fn inside(&mut self, name: &str, node: NodeId, nullable: bool) -> Result<Column, Stop> {
        let schema = self.schema;
        let (data_type, inside) = match schema.kind(node) {
            Kind::Array(items) => {
                let items = self.column(Field::LIST_FIELD_DEFAULT_NAME, *items)?;
                (DataType::List(items.field.clone()), vec![items])
            }
            Kind::Map(values) => {
                let keys = column("key", DataType::Utf8, false, Form::Native, Vec::new());
                let values = self.column("value", *values)?;
                let pair = Fields::from(vec![keys.field.clone(), values.field.clone()]);
                let entries = Field::new("entries", DataType::Struct(pair), false);
                (DataType::Map(FieldRef::new(entries), false), vec![keys, values])
            }
            Kind::Record(record) => {
                let fields = record.fields.iter();
                let inside = fields.map(|field| self.column(column_name(field), field.schema));
                let inside = inside.collect::<Result<Vec<_>, _>>()?;
                let fields: Fields = inside.iter().map(|column| column.field.clone()).collect();
                (DataType::Struct(fields), inside)
            }
            other => unreachable!("a single {} is a scalar", other.type_name()),
        };
        Ok(column(name, data_type, nullable, Form::Native, inside))
    }
}

/// Without storage yet.
fn column(name: &str, data_type: DataType, nullable: bool, form: Form, inside: Vec<Column>) -> Column {
    Column {
        field: Arc::new(Field::new(name, data_type, nullable)),
        form,
        storage: Storage::Null(0),
        inside,
    }
}

/// The type that comes nearest to a single value; `None` for records, arrays and maps.
fn scalar(schema: &Schema, id: NodeId) -> Option<DataType> {
    let node = schema.node(id);
    let logical = node.logical;
    let utc = || Some("UTC".into());
    Some(match (&node.kind, logical) {
        (Kind::Array(_) | Kind::Map(_) | Kind::Record(_) | Kind::Union(_), _) => return None,
        (Kind::Null, _) => DataType::Null,
        (Kind::Boolean, _) => DataType::Boolean,
        (Kind::Int, Some(Logical::Date)) => DataType::Date32,
        (Kind::Int, Some(Logical::TimeMillis)) => DataType::Time32(TimeUnit::Millisecond),
        (Kind::Int, _) => DataType::Int32,
        (Kind::Long, Some(Logical::TimeMicros)) => DataType::Time64(TimeUnit::Microsecond),
        (Kind::Long, Some(Logical::TimestampMillis)) => DataType::Timestamp(TimeUnit::Millisecond, utc()),
        (Kind::Long, Some(Logical::TimestampMicros)) => DataType::Timestamp(TimeUnit::Microsecond, utc()),
        (Kind::Long, Some(Logical::TimestampNanos)) => DataType::Timestamp(TimeUnit::Nanosecond, utc()),
        (Kind::Long, Some(Logical::LocalTimestampMillis)) => DataType::Timestamp(TimeUnit::Millisecond, None),
        (Kind::Long, Some(Logical::LocalTimestampMicros)) => DataType::Timestamp(TimeUnit::Microsecond, None),
        (Kind::Long, Some(Logical::LocalTimestampNanos)) => DataType::Timestamp(TimeUnit::Nanosecond, None),
        (Kind::Long, _) => DataType::Int64,
        (Kind::Float, _) => DataType::Float32,
        (Kind::Double, _) => DataType::Float64,
        (Kind::String | Kind::Enum(_), _) => DataType::Utf8,
        (Kind::Bytes | Kind::Fixed(_), Some(Logical::Decimal { precision, scale })) => {
            decimal(precision, scale).unwrap_or_else(|| bytes(&node.kind))
        }
        (Kind::Fixed(_), Some(Logical::Duration)) => DataType::Interval(IntervalUnit::MonthDayNano),
        (Kind::Fixed(_), Some(Logical::Uuid)) => DataType::Utf8,
        (Kind::Bytes | Kind::Fixed(_), _) => bytes(&node.kind),
    })
}

/// Arrow's decimals have up to 76 digits.
fn decimal(precision: u32, scale: u32) -> Option<DataType> {
    let (precision, scale) = (u8::try_from(precision).ok()?, i8::try_from(scale).ok()?);
    if precision <= DECIMAL128_MAX_PRECISION {
        Some(DataType::Decimal128(precision, scale))
    } else {
        (precision <= DECIMAL256_MAX_PRECISION).then_some(DataType::Decimal256(precision, scale))
    }
}

fn bytes(kind: &Kind) -> DataType {
    match kind {
        Kind::Fixed(fixed) => i32::try_from(fixed.size).map_or(DataType::Binary, DataType::FixedSizeBinary),
        _ => DataType::Binary,
    }
}
