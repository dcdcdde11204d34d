//! A schema as a flat list of operations, in the order of the bytes.
//!
//! Most nodes stand where they are used. A record that is used more than once, or lies deep, is a *unit*: code of its own
//! that is called. So the program is never larger than the schema, whatever the schema does.

use crate::{Kind, NodeId, Schema};

use super::{
    cursor::{Cursor, Fault, is_text},
    places::{Place, Places, Step},
    walk::{Pc, Walk},
};

/// Deeper nodes become units, so that compiling needs little stack.
const INLINE_DEPTH: usize = 48;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Boolean,
    Int,
    Long,
    /// So many bytes: float, double, fixed.
    Fixed(u64),
    Bytes,
    String,
    /// An enum with so many symbols.
    Symbol(u32),
    /// A union of null and one type. With null, go to `end`.
    Optional {
        null: u32,
        end: Pc,
    },
    /// Any other union: go to where `targets[table + index]` says.
    Branch {
        table: u32,
        branches: u32,
    },
    Jump(Pc),
    /// The items' code follows; it ends with `NextItem`, before `end`.
    Array {
        end: Pc,
    },
    /// The values' code follows; it ends with `NextEntry`, before `end`.
    Map {
        end: Pc,
    },
    NextItem {
        body: Pc,
    },
    NextEntry {
        body: Pc,
    },
    Call(Pc),
    /// The end of a unit.
    Return,
}

/// A compiled schema. What it is for is in [`super::Validator`].
#[derive(Debug)]
pub(super) struct Program {
    pub(super) ops: Vec<Op>,
    pub(super) targets: Vec<Pc>,
    pub(super) places: Places,
    /// For each record node its fields' code, one after the other: where each begins, and where the last ends.
    pub(super) fields: Vec<Vec<Pc>>,
}

impl Program {
    pub(super) fn compile(schema: &Schema) -> Self {
        let mut places = Places::default();
        let mut compiler = Compiler {
            schema,
            uses: uses(schema),
            units: vec![None; schema.len()],
            waiting: Vec::new(),
            place: places.unit(),
            program: Self {
                ops: Vec::new(),
                targets: Vec::new(),
                places,
                fields: vec![Vec::new(); schema.len()],
            },
        };
        compiler.unit(schema.root());
        while let Some((node, call)) = compiler.waiting.pop() {
            let pc = match compiler.units[node.index()] {
                Some(pc) => pc,
                None => compiler.unit(node),
            };
            compiler.program.ops[call as usize] = Op::Call(pc);
        }
        compiler.program
    }

    /// Walks the operations from `from` up to `to`, both of one unit, and answers the cursor behind them. `CHECK`: whether
    /// strings must be text.
    pub(super) fn walk<'a, const CHECK: bool>(
        &self,
        mut cursor: Cursor<'a>,
        walk: &mut Walk,
        from: Pc,
        to: Pc,
    ) -> Result<Cursor<'a>, Fault> {
        let mut pc = from;
        loop {
            if pc == to && walk.is_flat() {
                return Ok(cursor);
            }
            walk.pc = pc;
            walk.at = cursor.at();
            let op = self.ops[pc as usize];
            pc += 1;
            match op {
                Op::Boolean => _ = cursor.boolean()?,
                Op::Int => _ = cursor.int()?,
                Op::Long => _ = cursor.long()?,
                Op::Fixed(size) => _ = cursor.take(usize::try_from(size).map_err(|_| Fault::End)?)?,
                Op::Bytes => _ = cursor.bytes()?,
                Op::String => check_text::<CHECK>(cursor.bytes()?)?,
                Op::Symbol(symbols) => _ = cursor.symbol(symbols)?,
                Op::Optional { null, end } => {
                    if cursor.branch(2)? == null {
                        pc = end;
                    }
                }
                Op::Branch { table, branches } => {
                    let branch = cursor.branch(branches)?;
                    pc = self.targets[(table + branch) as usize];
                }
                Op::Jump(target) => pc = target,
                Op::Array { end } => {
                    if !walk.open(&mut cursor)? {
                        pc = end;
                    }
                }
                Op::NextItem { body } => {
                    if walk.next(&mut cursor)?.is_none() {
                        pc = body;
                    }
                }
                Op::Map { end } => match walk.open(&mut cursor)? {
                    true => check_text::<CHECK>(walk.key(&mut cursor)?)?,
                    false => pc = end,
                },
                Op::NextEntry { body } => {
                    if walk.next(&mut cursor)?.is_none() {
                        check_text::<CHECK>(walk.key(&mut cursor)?)?;
                        pc = body;
                    }
                }
                Op::Call(target) => {
                    walk.call(pc)?;
                    pc = target;
                }
                Op::Return => pc = walk.back(),
            }
        }
    }
}

#[inline]
fn check_text<const CHECK: bool>(bytes: &[u8]) -> Result<(), Fault> {
    if CHECK && !is_text(bytes) {
        return Err(Fault::Utf8);
    }
    Ok(())
}

/// How often each node is used; the root once more.
fn uses(schema: &Schema) -> Vec<u32> {
    let mut uses = vec![0; schema.len()];
    let mut count = |id: NodeId| uses[id.index()] += 1;
    count(schema.root());
    for (_, node) in schema.nodes() {
        match &node.kind {
            Kind::Array(inner) | Kind::Map(inner) => count(*inner),
            Kind::Union(branches) => branches.iter().copied().for_each(&mut count),
            Kind::Record(record) => record
                .fields
                .iter()
                .map(|field| field.schema)
                .for_each(&mut count),
            _ => {}
        }
    }
    uses
}

struct Compiler<'s> {
    schema: &'s Schema,
    uses: Vec<u32>,
    /// Where the code of a node is that is called.
    units: Vec<Option<Pc>>,
    /// Calls without a target yet: the node, and the operation.
    waiting: Vec<(NodeId, Pc)>,
    /// Of the value that is being compiled.
    place: Place,
    program: Program,
}

impl Compiler<'_> {
    fn unit(&mut self, node: NodeId) -> Pc {
        let start = self.here();
        self.units[node.index()] = Some(start);
        self.place = self.program.places.unit();
        self.inline(node, 0);
        self.emit(Op::Return);
        start
    }

    fn here(&self) -> Pc {
        Pc::try_from(self.program.ops.len()).expect("a schema has far less than 2^32 nodes")
    }

    fn emit(&mut self, op: Op) -> Pc {
        let pc = self.here();
        self.program.ops.push(op);
        self.program.places.mark(self.place);
        pc
    }

    /// Fills in a target that was not known when the operation was written.
    fn patch(&mut self, pc: Pc, op: Op) {
        self.program.ops[pc as usize] = op;
    }

    /// The code of `node` one step further.
    fn inside(&mut self, step: Step, node: NodeId, depth: usize) {
        let outside = self.place;
        self.place = self.program.places.inside(outside, step);
        self.node(node, depth + 1);
        self.place = outside;
    }

    /// Here, or as a call.
    fn node(&mut self, node: NodeId, depth: usize) {
        let is_shared = matches!(self.schema.kind(node), Kind::Record(_)) && self.uses[node.index()] > 1;
        if is_shared || depth >= INLINE_DEPTH {
            let call = self.emit(Op::Call(0));
            self.waiting.push((node, call));
        } else {
            self.inline(node, depth);
        }
    }

    fn inline(&mut self, node: NodeId, depth: usize) {
        let schema = self.schema;
        match schema.kind(node) {
            Kind::Null => {}
            Kind::Boolean => self.just(Op::Boolean),
            Kind::Int => self.just(Op::Int),
            Kind::Long => self.just(Op::Long),
            Kind::Float => self.just(Op::Fixed(4)),
            Kind::Double => self.just(Op::Fixed(8)),
            Kind::Bytes => self.just(Op::Bytes),
            Kind::String => self.just(Op::String),
            Kind::Fixed(fixed) => {
                if fixed.size > 0 {
                    self.just(Op::Fixed(fixed.size as u64));
                }
            }
            Kind::Enum(symbols) => self.just(Op::Symbol(symbols.symbols.len() as u32)),
            Kind::Array(items) => {
                let head = self.emit(Op::Array { end: 0 });
                self.inside(Step::Item, *items, depth);
                self.emit(Op::NextItem { body: head + 1 });
                let end = self.here();
                self.patch(head, Op::Array { end });
            }
            Kind::Map(values) => {
                let head = self.emit(Op::Map { end: 0 });
                self.inside(Step::Entry, *values, depth);
                self.emit(Op::NextEntry { body: head + 1 });
                let end = self.here();
                self.patch(head, Op::Map { end });
            }
            Kind::Union(branches) => self.union(branches, depth),
            Kind::Record(record) => {
                let mut fields = Vec::with_capacity(record.fields.len() + 1);
                for field in &record.fields {
                    fields.push(self.here());
                    self.inside(Step::Field(field.name.as_str().into()), field.schema, depth);
                }
                fields.push(self.here());
                self.program.fields[node.index()] = fields;
            }
        }
    }

    fn just(&mut self, op: Op) {
        self.emit(op);
    }

    fn union(&mut self, branches: &[NodeId], depth: usize) {
        let is_null = |branch: NodeId| matches!(self.schema.kind(branch), Kind::Null);
        let optional = match *branches {
            [null, other] if is_null(null) => Some((0, other)),
            [other, null] if is_null(null) => Some((1, other)),
            _ => None,
        };
        if let Some((null, other)) = optional {
            let head = self.emit(Op::Optional { null, end: 0 });
            self.node(other, depth + 1);
            let end = self.here();
            self.patch(head, Op::Optional { null, end });
            return;
        }
        let table = u32::try_from(self.program.targets.len()).expect("a schema has far less than 2^32 nodes");
        let count = branches.len();
        self.program.targets.resize(table as usize + count, 0);
        self.emit(Op::Branch {
            table,
            branches: count as u32,
        });
        let mut jumps = Vec::with_capacity(count);
        for (index, branch) in branches.iter().enumerate() {
            self.program.targets[table as usize + index] = self.here();
            self.node(*branch, depth + 1);
            jumps.push(self.emit(Op::Jump(0)));
        }
        let end = self.here();
        for jump in jumps {
            self.patch(jump, Op::Jump(end));
        }
    }
}
