//! The names of a text: what defines one, what may repeat it, and what was used before it was defined.

use std::collections::HashSet;

use super::{Builder, Draft, defaults::Defaults};
use crate::model::{Kind, Node, NodeId, SchemaError, Strictness};

impl Builder {
    /// Makes a named type known. A name may be defined again by an equal definition.
    pub(super) fn define(&mut self, id: NodeId) -> Result<NodeId, SchemaError> {
        let full = self
            .node(id)
            .kind
            .name()
            .map(|name| name.full())
            .unwrap_or_default();
        match self.known.get(&full) {
            Some(&first) if !self.same_definition(first, id) => {
                Err(self.error(format!("Can't redefine: {full}")))
            }
            Some(&first) => {
                self.repeated.insert(id, first);
                Ok(id)
            }
            None => {
                self.known.insert(full, id);
                self.open.defined.push(id);
                Ok(id)
            }
        }
    }

    /// Java's `equals` of two types of one name: documentation, aliases and the default of an enum do not count.
    fn same_definition(&self, a: NodeId, b: NodeId) -> bool {
        let (a, b) = (self.node(a), self.node(b));
        let same = match (&a.kind, &b.kind) {
            (Kind::Record(a), Kind::Record(b)) => {
                let fields = a.fields.iter().zip(&b.fields);
                a.fields.len() == b.fields.len()
                    && fields.into_iter().all(|(a, b)| {
                        a.name == b.name
                            && a.default == b.default
                            && a.default_text == b.default_text
                            && a.order == b.order
                            && a.properties == b.properties
                            && self.same(a.schema, b.schema)
                    })
            }
            (Kind::Enum(a), Kind::Enum(b)) => a.symbols == b.symbols,
            (Kind::Fixed(a), Kind::Fixed(b)) => a.size == b.size,
            _ => false,
        };
        same && a.properties == b.properties
    }

    /// Java's `equals` of two types within definitions. It recurses into types without a name only, and so no deeper
    /// than the text; equal types of one name are known to be.
    fn same(&self, a: NodeId, b: NodeId) -> bool {
        if a == b {
            return true;
        }
        let (Draft::Type(node_a), Draft::Type(node_b)) = (self.draft(a), self.draft(b)) else {
            return false;
        };
        let first = |id: NodeId| self.repeated.get(&id).copied().unwrap_or(id);
        let same = match (&node_a.kind, &node_b.kind) {
            (Kind::Array(a), Kind::Array(b)) | (Kind::Map(a), Kind::Map(b)) => self.same(*a, *b),
            (Kind::Union(a), Kind::Union(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| self.same(a, b))
            }
            (a_kind, b_kind) if a_kind.name().is_some() || b_kind.name().is_some() => {
                return first(a) == first(b);
            }
            (a_kind, b_kind) => std::mem::discriminant(a_kind) == std::mem::discriminant(b_kind),
        };
        same && node_a.properties == node_b.properties
    }

    /// Finds what the names stand for that were used before they were defined, and checks what waited for them.
    pub(super) fn resolve(&mut self) -> Result<(), SchemaError> {
        if self.open.pending.is_empty() {
            return Ok(());
        }
        for id in std::mem::take(&mut self.open.pending) {
            let Draft::Pending(pending) = self.draft(id) else {
                continue;
            };
            let mut target = self.known.get(&pending.full);
            if target.is_none() && self.strictness == Strictness::Stored {
                // Java below 1.12.1 knows a record within itself, by its short name in any namespace too.
                target = pending
                    .full
                    .rsplit_once('.')
                    .and_then(|(_, short)| self.known.get(short));
            }
            let Some(&target) = target else {
                return Err(SchemaError {
                    pointer: pending.pointer.clone(),
                    message: format!("Undefined schema: {}", pending.full),
                });
            };
            if let Draft::Pending(pending) = &mut self.drafts[id.index()] {
                pending.target = Some(target);
            }
        }
        for (union, pointer) in std::mem::take(&mut self.open.unions) {
            self.check_union(union, pointer)?;
        }
        match self.strictness {
            Strictness::New => self.check_defaults_again(),
            Strictness::Stored => Ok(()),
        }
    }

    /// Java copies every record of the text when it resolves names, and checks defaults against the copies: those of
    /// an outer record are unfinished while the inner ones are checked. The order of the walk is Java's too.
    fn check_defaults_again(&self) -> Result<(), SchemaError> {
        let mut unfinished: HashSet<NodeId> = self.open.records.keys().copied().collect();
        for &start in &self.open.defined {
            let mut work = vec![Task::Enter(start)];
            let mut entered = HashSet::new();
            while let Some(task) = work.pop() {
                match task {
                    Task::Enter(id) => {
                        let id = self.target(id);
                        let node = self.node(id);
                        let is_record = matches!(node.kind, Kind::Record(_));
                        if is_record && (!unfinished.contains(&id) || !entered.insert(id)) {
                            continue;
                        }
                        if is_record {
                            work.push(Task::Finish(id));
                        }
                        push_children(&mut work, node);
                    }
                    Task::Finish(id) => {
                        self.check_record_again(id, &unfinished)?;
                        unfinished.remove(&id);
                    }
                }
            }
        }
        Ok(())
    }

    fn check_record_again(&self, id: NodeId, unfinished: &HashSet<NodeId>) -> Result<(), SchemaError> {
        let Kind::Record(record) = &self.node(id).kind else {
            return Ok(());
        };
        for (index, field) in record.fields.iter().enumerate() {
            let Some(default) = &field.default else {
                continue;
            };
            let floating = matches!(
                self.node(self.target(field.schema)).kind,
                Kind::Float | Kind::Double
            );
            if floating && default.is_string() {
                // What JSON has no number for, such as NaN.
                continue;
            }
            let valid = Defaults::new(&self.drafts, Some(unfinished)).valid(field.schema, default);
            self.expect_valid(valid, &field.name, field.schema, default)
                .map_err(|message| SchemaError {
                    pointer: format!("{}/fields/{index}/default", self.open.records[&id]),
                    message,
                })?;
        }
        Ok(())
    }
}

enum Task {
    Enter(NodeId),
    Finish(NodeId),
}

/// Fields in order, branches of a union from the last, as Java's visitor goes.
fn push_children(work: &mut Vec<Task>, node: &Node) {
    match &node.kind {
        Kind::Array(element) | Kind::Map(element) => work.push(Task::Enter(*element)),
        Kind::Union(branches) => work.extend(branches.iter().map(|&branch| Task::Enter(branch))),
        Kind::Record(record) => {
            work.extend(record.fields.iter().rev().map(|field| Task::Enter(field.schema)))
        }
        _ => {}
    }
}
