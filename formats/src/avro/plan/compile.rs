use std::collections::HashMap;

use millstream_schema_registry_avro::{
    Enum, Field, Kind, Logical, NodeId, Record, Schema,
    binary::{Pc, Place, Places, Step, Validator},
};

use super::{Plan, PlanError, op::Op};
use crate::{
    avro::{
        columns::{Column, Form, Slot, Storage},
        layout::Layout,
        literal,
        resolve::Resolver,
        scalar::{Decimal, Scalar, ScalarKind, Scale},
    },
    json,
};

pub(super) fn compile(writer: &Schema, layout: &Layout) -> Result<Plan, PlanError> {
    let reader = &layout.reader;
    let resolver = Resolver::new(writer, reader);
    let own = Resolver::new(reader, reader);
    let mut places = Places::default();
    let place = places.unit();
    let mut compiler = Compiler {
        reader,
        defaults: Side {
            schema: reader,
            resolver: &own,
            is_default: true,
        },
        plan: Plan {
            ops: Vec::new(),
            targets: Vec::new(),
            places,
            validator: Validator::compile(writer),
            spans: Vec::new(),
            columns: Vec::new(),
            symbols: Vec::new(),
            sizes: Vec::new(),
            decimals: Vec::new(),
            scales: Vec::new(),
            scalars: Vec::new(),
            raw: Vec::new(),
            defaults: Vec::new(),
            reasons: Vec::new(),
        },
        place,
        path: Vec::new(),
        units: HashMap::new(),
        waiting: Vec::new(),
    };
    let data = Side {
        schema: writer,
        resolver: &resolver,
        is_default: false,
    };
    compiler.root(data, layout)?;
    compiler.units();
    Ok(compiler.plan)
}

/// Where values are written.
#[derive(Clone, Copy)]
enum Target<'a> {
    /// The columns of a record.
    Root(&'a Layout),
    Column(&'a Column),
    /// The text column that is open.
    Json,
}

/// What is being read: the data, or a default, which is written as the reader's own schema says.
#[derive(Clone, Copy)]
struct Side<'a> {
    schema: &'a Schema,
    resolver: &'a Resolver,
    is_default: bool,
}

/// A record that is written as JSON: of which side, as what.
type Unit = (bool, NodeId, NodeId);

struct Compiler<'a> {
    reader: &'a Schema,
    defaults: Side<'a>,
    plan: Plan,
    place: Place,
    /// The reader's fields that lead to where we are.
    path: Vec<&'a str>,
    units: HashMap<Unit, Pc>,
    /// Calls without a target yet.
    waiting: Vec<(Unit, Side<'a>, Pc)>,
}

type Done = Result<(), PlanError>;

impl<'a> Compiler<'a> {
    fn root(&mut self, side: Side<'a>, layout: &Layout) -> Done {
        let (written, read) = (side.schema.root(), self.reader.root());
        match (&layout.fields, layout.columns.first()) {
            (Some(_), _) => self.read(side, written, read, Target::Root(layout))?,
            (None, Some(column)) => self.read(side, written, read, Target::Column(column))?,
            (None, None) => {
                let span = index(&mut self.plan.spans, self.plan.validator.whole());
                self.emit(Op::Skip { span });
            }
        }
        self.emit(Op::End);
        Ok(())
    }

    /// The code of all records that are called.
    fn units(&mut self) {
        while let Some((unit, side, call)) = self.waiting.pop() {
            let target = match self.units.get(&unit) {
                Some(known) => *known,
                None => self.unit(unit, side),
            };
            self.plan.ops[call as usize] = Op::Call(target);
        }
    }

    fn unit(&mut self, unit: Unit, side: Side<'a>) -> Pc {
        let start = self.here();
        self.units.insert(unit, start);
        self.place = self.plan.places.unit();
        if let Err(error) = self.json_record(side, unit.1, unit.2) {
            self.take_back(start);
            self.fail(&error);
        }
        self.emit(Op::Return);
        start
    }

    fn here(&self) -> Pc {
        Pc::try_from(self.plan.ops.len()).expect("a plan has far less than 2^32 operations")
    }

    fn emit(&mut self, op: Op) -> Pc {
        let pc = self.here();
        self.plan.ops.push(op);
        self.plan.places.mark(self.place);
        pc
    }

    /// Fills in a target that was not known when the operation was written.
    fn patch(&mut self, pc: Pc, op: Op) {
        self.plan.ops[pc as usize] = op;
    }

    /// Takes back the operations from `start` on.
    fn take_back(&mut self, start: Pc) {
        self.plan.ops.truncate(start as usize);
        self.plan.places.truncate(start as usize);
        self.waiting.retain(|(_, _, call)| *call < start);
    }

    fn fail(&mut self, error: &PlanError) {
        let index = index(&mut self.plan.reasons, error.message.clone());
        self.emit(Op::Fail { index });
    }

    fn error(&self, message: String) -> PlanError {
        PlanError {
            path: self.path.join("."),
            message,
        }
    }

    fn inside(&mut self, step: Step, code: impl FnOnce(&mut Self) -> Done) -> Done {
        let outside = self.place;
        self.place = self.plan.places.inside(outside, step);
        let done = code(self);
        self.place = outside;
        done
    }

    /// A value that was written as `written` and is read as `read`.
    fn read(&mut self, side: Side<'a>, written: NodeId, read: NodeId, target: Target<'_>) -> Done {
        let (schema, reader) = (side.schema, self.reader);
        if let Kind::Union(branches) = schema.kind(written) {
            return self.written_union(side, written, branches, read, target);
        }
        if let Kind::Union(branches) = reader.kind(read) {
            let Some(branch) = side.resolver.branch(written, branches) else {
                let name = described(schema, written);
                return Err(self.error(format!("{name} is read as none of the branches of the union")));
            };
            return self.read(side, written, branches[branch], target);
        }
        if !side.resolver.matches(written, read) {
            let (written, read) = (described(schema, written), described(reader, read));
            return Err(self.error(format!("{written} cannot be read as {read}")));
        }
        match target {
            Target::Json => self.json(side, written, read),
            Target::Column(column) => self.column(side, written, read, column),
            Target::Root(layout) => {
                let indices = layout.fields.iter().flatten();
                let columns = layout.columns.iter().map(Target::Column);
                let wanted: Vec<_> = indices.copied().zip(columns).collect();
                self.fields(side, written, read, &wanted)
            }
        }
    }

    /// Each branch for itself: those that cannot be read fail when they occur.
    fn written_union(
        &mut self,
        side: Side<'a>,
        written: NodeId,
        branches: &'a [NodeId],
        read: NodeId,
        target: Target<'_>,
    ) -> Done {
        let reader = self.reader;
        let counterparts = match reader.kind(read) {
            Kind::Union(read_branches) if side.resolver.is_same_union(written, read) => Some(read_branches),
            _ => None,
        };
        let read_as = |branch: usize| counterparts.map_or(read, |counterparts| counterparts[branch]);
        let is_null = |branch: &NodeId| matches!(side.schema.kind(*branch), Kind::Null);
        if let (2, Some(null), Target::Column(column)) =
            (branches.len(), branches.iter().position(is_null), target)
            && column.field.is_nullable()
        {
            return self.optional(side, null, branches[1 - null], read_as(1 - null), column);
        }
        let table = u32::try_from(self.plan.targets.len()).expect("a plan has far less than 2^32 branches");
        self.plan.targets.resize(table as usize + branches.len(), 0);
        self.emit(Op::Branch {
            table,
            branches: branches.len() as u32,
        });
        let mut jumps = Vec::with_capacity(branches.len());
        let mut failure = None;
        let mut is_readable = false;
        for (index, branch) in branches.iter().enumerate() {
            let start = self.here();
            self.plan.targets[table as usize + index] = start;
            match self.read(side, *branch, read_as(index), target) {
                Ok(()) => is_readable = true,
                Err(error) => {
                    self.take_back(start);
                    self.fail(&error);
                    failure.get_or_insert(error);
                }
            }
            jumps.push(self.emit(Op::Jump(0)));
        }
        let end = self.here();
        for jump in jumps {
            self.patch(jump, Op::Jump(end));
        }
        match failure {
            Some(error) if !is_readable => Err(error),
            _ => Ok(()),
        }
    }

    /// A union of null and one other type, into a column that may be null.
    fn optional(
        &mut self,
        side: Side<'a>,
        null: usize,
        value: NodeId,
        read: NodeId,
        column: &Column,
    ) -> Done {
        let (null, index) = (null as u32, index(&mut self.plan.columns, column.clone()));
        let head = self.emit(Op::Jump(0));
        let start = self.here();
        if let Err(error) = self.read(side, value, read, Target::Column(column)) {
            self.take_back(start);
            self.fail(&error);
        }
        let end = self.here();
        self.patch(
            head,
            Op::Optional {
                null,
                column: index,
                end,
            },
        );
        Ok(())
    }

    fn column(&mut self, side: Side<'a>, written: NodeId, read: NodeId, column: &Column) -> Done {
        if let Kind::Null = side.schema.kind(written) {
            let column = index(&mut self.plan.columns, column.clone());
            self.emit(Op::Null { column });
            return Ok(());
        }
        let (Form::Json | Form::Text, Storage::Text(slot)) = (column.form, column.storage) else {
            return self.native(side, written, read, column);
        };
        self.emit(Op::Begin(slot));
        match self.scalar(side, written, read) {
            Some(kind) => self.write_scalar(kind, column.form == Form::Json),
            None => self.json(side, written, read)?,
        }
        self.emit(Op::Close(slot));
        Ok(())
    }

    fn native(&mut self, side: Side<'a>, written: NodeId, read: NodeId, column: &Column) -> Done {
        let kind = side.schema.kind(written);
        match (column.storage, kind) {
            (Storage::Boolean(slot), _) => self.just(Op::Boolean(slot)),
            (Storage::Int32(slot), _) => self.just(Op::Int(slot)),
            (Storage::Int64(slot), _) => self.long(side, written, read, slot),
            (Storage::Float32(slot), Kind::Int) => self.just(Op::IntAsFloat(slot)),
            (Storage::Float32(slot), Kind::Long) => self.just(Op::LongAsFloat(slot)),
            (Storage::Float32(slot), _) => self.just(Op::Float(slot)),
            (Storage::Float64(slot), Kind::Int) => self.just(Op::IntAsDouble(slot)),
            (Storage::Float64(slot), Kind::Long) => self.just(Op::LongAsDouble(slot)),
            (Storage::Float64(slot), Kind::Float) => self.just(Op::FloatAsDouble(slot)),
            (Storage::Float64(slot), _) => self.just(Op::Double(slot)),
            (Storage::Text(slot), Kind::Enum(symbols)) => {
                let table = self.symbols(symbols, read, str::to_owned);
                self.just(Op::Symbol { slot, table });
            }
            (Storage::Text(slot), _) => self.just(Op::Text(slot)),
            (Storage::Binary(slot), Kind::Fixed(fixed)) => {
                let index = index(&mut self.plan.sizes, fixed.size);
                self.just(Op::FixedAsBinary { slot, index });
            }
            (Storage::Binary(slot), _) => self.just(Op::Binary(slot)),
            (Storage::Fixed(slot), Kind::Fixed(fixed)) => {
                let size = u32::try_from(fixed.size).expect("the layout makes larger ones binary");
                self.just(Op::Fixed { slot, size });
            }
            (Storage::Decimal128(slot), _) => {
                let decimal = self.decimal(side, written, read);
                let index = index(&mut self.plan.decimals, decimal);
                self.just(Op::Decimal128 { slot, index });
            }
            (Storage::Decimal256(slot), _) => {
                let decimal = self.decimal(side, written, read);
                let index = index(&mut self.plan.decimals, decimal);
                self.just(Op::Decimal256 { slot, index });
            }
            (Storage::Interval(slot), _) => self.just(Op::Duration(slot)),
            (Storage::List(_) | Storage::Map(_) | Storage::Struct(_), _) => {
                return self.nested(side, written, read, column);
            }
            (Storage::Null(_) | Storage::Fixed(_), other) => {
                unreachable!("no column of {:?} for {}", column.storage, other.type_name())
            }
        }
        Ok(())
    }

    fn just(&mut self, op: Op) {
        self.emit(op);
    }

    fn long(&mut self, side: Side<'a>, written: NodeId, read: NodeId, slot: Slot) {
        let scale = self.scale(side, written, read);
        if (scale.multiply, scale.divide) != (1, 1) {
            let index = index(&mut self.plan.scales, scale);
            self.just(Op::Scaled { slot, index });
        } else if scale.is_int {
            self.just(Op::IntAsLong(slot));
        } else {
            self.just(Op::Long(slot));
        }
    }

    fn nested(&mut self, side: Side<'a>, written: NodeId, read: NodeId, column: &Column) -> Done {
        let reader = self.reader;
        match (column.storage, side.schema.kind(written), reader.kind(read)) {
            (Storage::List(slot), Kind::Array(written), Kind::Array(read)) => {
                let head = self.emit(Op::Jump(0));
                let items = Target::Column(&column.inside[0]);
                self.inside(Step::Item, |this| this.read(side, *written, *read, items))?;
                self.emit(Op::NextItem { slot, body: head + 1 });
                let end = self.here();
                self.patch(head, Op::List { slot, end });
                Ok(())
            }
            (Storage::Map(slot), Kind::Map(written), Kind::Map(read)) => {
                let Storage::Text(keys) = column.inside[0].storage else {
                    unreachable!("the keys of a map are texts");
                };
                let head = self.emit(Op::Jump(0));
                let values = Target::Column(&column.inside[1]);
                self.inside(Step::Entry, |this| this.read(side, *written, *read, values))?;
                self.emit(Op::NextEntry {
                    slot,
                    keys,
                    body: head + 1,
                });
                let end = self.here();
                self.patch(head, Op::Map { slot, keys, end });
                Ok(())
            }
            (Storage::Struct(slot), _, _) => {
                let wanted: Vec<_> = column.inside.iter().map(Target::Column).enumerate().collect();
                self.fields(side, written, read, &wanted)?;
                self.just(Op::Struct(slot));
                Ok(())
            }
            _ => unreachable!("the layout was made for the reader's schema, and the types match"),
        }
    }

    /// The wanted fields of a record, by their index in the reader's, in the order of the data; then those that only the
    /// reader has.
    fn fields(
        &mut self,
        side: Side<'a>,
        written: NodeId,
        read: NodeId,
        wanted: &[(usize, Target<'_>)],
    ) -> Done {
        let reader = self.reader;
        let (writer_fields, reader_fields) = (record(side.schema, written), record(reader, read));
        let mut readers = vec![Vec::new(); writer_fields.fields.len()];
        let mut missing = Vec::new();
        for (field, target) in wanted {
            let field = &reader_fields.fields[*field];
            match Resolver::field(writer_fields, field) {
                Some(index) => readers[index].push((field, *target)),
                None => missing.push((field, *target)),
            }
        }
        let mut first = true;
        let mut at = 0;
        while at < readers.len() {
            let unwanted = readers[at..]
                .iter()
                .take_while(|readers| readers.is_empty())
                .count();
            if unwanted > 0 {
                self.skip(written, at, at + unwanted - 1);
                at += unwanted;
                continue;
            }
            let (name, schema) = (&writer_fields.fields[at].name, writer_fields.fields[at].schema);
            for (n, (field, target)) in readers[at].iter().enumerate() {
                let is_again = n + 1 < readers[at].len();
                if is_again {
                    self.emit(Op::Mark);
                }
                self.field(field, &mut first, *target, name, |this, target| {
                    this.read(side, schema, field.schema, target)
                })?;
                if is_again {
                    self.emit(Op::Rewind);
                }
            }
            at += 1;
        }
        for (field, target) in missing {
            self.field(field, &mut first, target, &field.name, |this, target| {
                this.default(field, target)
            })?;
        }
        Ok(())
    }

    /// One field, with its name where the record is written as JSON.
    fn field<'t>(
        &mut self,
        field: &'a Field,
        first: &mut bool,
        target: Target<'t>,
        name: &str,
        code: impl FnOnce(&mut Self, Target<'t>) -> Done,
    ) -> Done {
        if let Target::Json = target {
            let mut prefix = vec![if *first { b'{' } else { b',' }];
            json::write_string(&field.name, &mut prefix);
            prefix.push(b':');
            self.raw(&prefix);
        }
        *first = false;
        self.path.push(&field.name);
        let done = self.inside(Step::Field(name.into()), |this| code(this, target));
        self.path.pop();
        done
    }

    fn skip(&mut self, record: NodeId, first: usize, last: usize) {
        let span = self.plan.validator.span(record, first, last);
        let span = index(
            &mut self.plan.spans,
            span.expect("fields of the writer's record; a default has none that nobody wants"),
        );
        self.emit(Op::Skip { span });
    }

    fn default(&mut self, field: &'a Field, target: Target<'_>) -> Done {
        let Some(default) = &field.default else {
            return Err(self.error("the writer does not have it, and it has no default".into()));
        };
        let data = literal::encode(self.reader, field.schema, default)
            .map_err(|reason| self.error(format!("its default is wrong: {reason}")))?;
        let index = index(&mut self.plan.defaults, data.into());
        self.emit(Op::Default { index });
        self.read(self.defaults, field.schema, field.schema, target)?;
        self.emit(Op::Resume);
        Ok(())
    }

    /// A value as JSON, into the text column that is open.
    fn json(&mut self, side: Side<'a>, written: NodeId, read: NodeId) -> Done {
        if let Some(kind) = self.scalar(side, written, read) {
            self.write_scalar(kind, true);
            return Ok(());
        }
        let reader = self.reader;
        match (side.schema.kind(written), reader.kind(read)) {
            (Kind::Null, _) => self.raw(b"null"),
            (Kind::Boolean, _) => self.just(Op::WriteBoolean),
            (Kind::Int, _) => self.just(Op::WriteInt),
            (Kind::Long, _) => self.just(Op::WriteLong),
            (Kind::Float, _) => self.just(Op::WriteFloat),
            (Kind::Double, _) => self.just(Op::WriteDouble),
            (Kind::Bytes | Kind::String, Kind::String) => self.just(Op::WriteText),
            (Kind::Bytes | Kind::String, _) => self.just(Op::WriteBytes),
            (Kind::Fixed(fixed), _) => {
                let index = index(&mut self.plan.sizes, fixed.size);
                self.just(Op::WriteFixed { index });
            }
            (Kind::Enum(symbols), _) => {
                let table = self.symbols(symbols, read, json_string);
                self.just(Op::WriteSymbol { table });
            }
            (Kind::Array(written), Kind::Array(read)) => {
                let head = self.emit(Op::Jump(0));
                self.inside(Step::Item, |this| this.read(side, *written, *read, Target::Json))?;
                self.emit(Op::WriteNextItem { body: head + 1 });
                let end = self.here();
                self.patch(head, Op::WriteArray { end });
            }
            (Kind::Map(written), Kind::Map(read)) => {
                let head = self.emit(Op::Jump(0));
                self.inside(Step::Entry, |this| this.read(side, *written, *read, Target::Json))?;
                self.emit(Op::WriteNextEntry { body: head + 1 });
                let end = self.here();
                self.patch(head, Op::WriteMap { end });
            }
            (Kind::Record(_), _) => {
                let call = self.emit(Op::Call(0));
                self.waiting.push(((side.is_default, written, read), side, call));
            }
            _ => unreachable!("unions are taken apart, and the types match"),
        }
        Ok(())
    }

    fn json_record(&mut self, side: Side<'a>, written: NodeId, read: NodeId) -> Done {
        let fields = record(self.reader, read).fields.len();
        let wanted: Vec<_> = (0..fields).map(|index| (index, Target::Json)).collect();
        self.fields(side, written, read, &wanted)?;
        self.raw(if fields == 0 { b"{}" } else { b"}" });
        Ok(())
    }

    fn raw(&mut self, text: &[u8]) {
        let index = index(&mut self.plan.raw, text.into());
        self.emit(Op::Raw { index });
    }

    fn write_scalar(&mut self, kind: ScalarKind, is_json: bool) {
        let index = index(&mut self.plan.scalars, Scalar { kind, is_json });
        self.emit(Op::WriteScalar { index });
    }

    /// The text that each of the writer's symbols is read as.
    fn symbols(&mut self, written: &Enum, read: NodeId, text: impl Fn(&str) -> String) -> u32 {
        let Kind::Enum(read) = self.reader.kind(read) else {
            unreachable!("the types match");
        };
        let texts = Resolver::symbols(written, read).map(|symbol| Some(text(symbol?).into()));
        index(&mut self.plan.symbols, texts.collect())
    }

    /// What has a text of its own: a number that is read as another, or what the reader's logical type says.
    fn scalar(&self, side: Side<'a>, written: NodeId, read: NodeId) -> Option<ScalarKind> {
        let is_int = matches!(side.schema.kind(written), Kind::Int);
        match (side.schema.kind(written), self.reader.kind(read)) {
            (Kind::Int | Kind::Long, Kind::Float) => return Some(ScalarKind::WholeAsFloat { is_int }),
            (Kind::Int | Kind::Long, Kind::Double) => return Some(ScalarKind::WholeAsDouble { is_int }),
            (Kind::Float, Kind::Double) => return Some(ScalarKind::FloatAsDouble),
            _ => {}
        }
        let scale = || self.scale(side, written, read);
        let timestamp = |digits, has_zone| ScalarKind::Timestamp {
            scale: scale(),
            digits,
            has_zone,
        };
        let time = |digits| ScalarKind::Time {
            scale: scale(),
            digits,
        };
        Some(match self.reader.node(read).logical? {
            Logical::Date => ScalarKind::Date,
            Logical::TimeMillis => time(3),
            Logical::TimeMicros => time(6),
            Logical::TimestampMillis => timestamp(3, true),
            Logical::TimestampMicros => timestamp(6, true),
            Logical::TimestampNanos => timestamp(9, true),
            Logical::LocalTimestampMillis => timestamp(3, false),
            Logical::LocalTimestampMicros => timestamp(6, false),
            Logical::LocalTimestampNanos => timestamp(9, false),
            Logical::Decimal { precision, .. } if precision <= Decimal::MAX_PRECISION => {
                ScalarKind::Decimal(self.decimal(side, written, read))
            }
            Logical::Uuid if matches!(side.schema.kind(written), Kind::Fixed(_)) => ScalarKind::Uuid,
            Logical::Duration => ScalarKind::Duration,
            Logical::Decimal { .. } | Logical::Uuid | Logical::BigDecimal => return None,
        })
    }

    /// From the writer's unit of time to the reader's, where both count the same.
    fn scale(&self, side: Side<'a>, written: NodeId, read: NodeId) -> Scale {
        let (from, to) = (side.schema.node(written), self.reader.node(read));
        let units = from.logical.and_then(unit).zip(to.logical.and_then(unit));
        let (multiply, divide) = match units {
            Some(((what, from), (same, to))) if what == same => ((to / from).max(1), (from / to).max(1)),
            _ => (1, 1),
        };
        Scale {
            is_int: matches!(from.kind, Kind::Int),
            multiply,
            divide,
        }
    }

    fn decimal(&self, side: Side<'a>, written: NodeId, read: NodeId) -> Decimal {
        let from = side.schema.node(written);
        let Some(Logical::Decimal { precision, scale }) = self.reader.node(read).logical else {
            unreachable!("the column is a decimal");
        };
        let written_scale = match from.logical {
            Some(Logical::Decimal { scale, .. }) => scale,
            _ => scale,
        };
        Decimal {
            size: match &from.kind {
                Kind::Fixed(fixed) => Some(fixed.size),
                _ => None,
            },
            precision,
            shift: i32::try_from(i64::from(scale) - i64::from(written_scale)).unwrap_or(i32::MAX),
            scale,
        }
    }
}

/// What a logical type counts, and how many of it a second has.
fn unit(logical: Logical) -> Option<(&'static str, i64)> {
    match logical {
        Logical::TimeMillis => Some(("time", 1_000)),
        Logical::TimeMicros => Some(("time", 1_000_000)),
        Logical::TimestampMillis => Some(("timestamp", 1_000)),
        Logical::TimestampMicros => Some(("timestamp", 1_000_000)),
        Logical::TimestampNanos => Some(("timestamp", 1_000_000_000)),
        Logical::LocalTimestampMillis => Some(("local timestamp", 1_000)),
        Logical::LocalTimestampMicros => Some(("local timestamp", 1_000_000)),
        Logical::LocalTimestampNanos => Some(("local timestamp", 1_000_000_000)),
        _ => None,
    }
}

fn record(schema: &Schema, node: NodeId) -> &Record {
    match schema.kind(node) {
        Kind::Record(record) => record,
        other => unreachable!("a record, not {}", other.type_name()),
    }
}

fn json_string(text: &str) -> String {
    let mut out = Vec::new();
    json::write_string(text, &mut out);
    String::from_utf8(out).expect("JSON of text is text")
}

/// A type for people: `int`, `enum shop.Colour`.
fn described(schema: &Schema, node: NodeId) -> String {
    let kind = schema.kind(node);
    match kind {
        Kind::Fixed(fixed) => format!("fixed {} of {} bytes", fixed.name, fixed.size),
        _ => match kind.name() {
            Some(name) => format!("{} {name}", kind.type_name()),
            None => kind.type_name().into(),
        },
    }
}

/// Appends to a table and answers the index.
fn index<T>(table: &mut Vec<T>, entry: T) -> u32 {
    table.push(entry);
    u32::try_from(table.len() - 1).expect("a plan has far less than 2^32 entries")
}
