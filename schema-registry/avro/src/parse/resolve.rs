//! The names of a text: what defines one, what may repeat it, and what was used before it was defined.

use std::collections::HashSet;

use super::{Builder, Draft, defaults::Defaults};
use crate::model::{Kind, Node, NodeId, SchemaError, Strictness};

/// How far the walk over the records of a text may go: walks within walks multiply.
const MAX_STEPS: usize = 5_000_000;

impl Builder {
    /// Makes a named type known. A name may be defined again by an equal definition.
    ///
    /// A stored text may define a name of a referenced one as it likes: the text of a schema spells out types that lie
    /// within referenced schemas, and Java refuses its own text of one that is recursive.
    pub(super) fn define(&mut self, id: NodeId) -> Result<NodeId, SchemaError> {
        let full = self
            .node(id)
            .kind
            .name()
            .map(|name| name.full())
            .unwrap_or_default();
        let stored = self.strictness == Strictness::Stored;
        match self.known.get(&full) {
            Some(&first) if stored && first < self.open.first && !self.same_definition(first, id) => {
                self.known.insert(full, id);
                self.open.defined.push(id);
                Ok(id)
            }
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
    pub(super) fn resolve(&mut self, root: NodeId) -> Result<(), SchemaError> {
        let first_pending = self.open.pending.first().copied();
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
        self.forward |= first_pending.is_some();
        let defines = !self.open.defined.is_empty();
        self.defined.append(&mut self.open.defined);
        if !self.forward || self.strictness == Strictness::Stored {
            return Ok(());
        }
        // Java begins with the definitions, those of earlier texts too, and knows them all when it comes to the root.
        match defines {
            true => self.check_defaults_again(&self.defined, first_pending),
            false if self.node(self.target(root)).kind.name().is_some() => Ok(()),
            false => self.check_defaults_again(&[root], first_pending),
        }
    }

    /// Java copies every record of the text when it resolves names, and checks defaults against the copies: a record
    /// that is unfinished at that time cannot be looked into. So the order of the walk matters, and is Java's: fields
    /// in order, branches of a union from the last; a name that is met for the first time starts a walk of its own,
    /// which goes into unfinished records again, and finishes them. Names of earlier texts (before `first_pending`) are
    /// not met, their types are in their place.
    fn check_defaults_again(
        &self,
        starts: &[NodeId],
        first_pending: Option<NodeId>,
    ) -> Result<(), SchemaError> {
        let mut unfinished: HashSet<NodeId> = self.records.keys().copied().collect();
        let mut begun = HashSet::new();
        let mut steps = 0;
        for &start in starts {
            let mut walks = vec![Walk::from(start)];
            while let Some(walk) = walks.last_mut() {
                steps += 1;
                if steps > MAX_STEPS {
                    return Err(self.error("too many names are used before they are defined".into()));
                }
                match walk.work.pop() {
                    None => drop(walks.pop()),
                    Some(Task::Finish(id)) => {
                        if unfinished.contains(&id) {
                            self.check_record_again(id, &unfinished)?;
                            unfinished.remove(&id);
                        }
                    }
                    Some(Task::Enter(id)) => match self.draft(id) {
                        Draft::Type(node) if matches!(node.kind, Kind::Record(_)) => {
                            if unfinished.contains(&id) && walk.entered.insert(id) {
                                begun.insert(id);
                                walk.work.push(Task::Finish(id));
                                push_children(&mut walk.work, node);
                            }
                        }
                        Draft::Type(node) => push_children(&mut walk.work, node),
                        Draft::Pending(_) => {
                            let target = self.target(id);
                            if first_pending.is_none_or(|first| id < first) {
                                walk.work.push(Task::Enter(target));
                            } else if unfinished.contains(&target) && !begun.contains(&target) {
                                walks.push(Walk::from(target));
                            }
                        }
                    },
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
                    pointer: format!("{}/fields/{index}/default", self.records[&id]),
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

struct Walk {
    work: Vec<Task>,
    /// Records that this walk has gone into.
    entered: HashSet<NodeId>,
}

impl From<NodeId> for Walk {
    fn from(start: NodeId) -> Self {
        Self {
            work: vec![Task::Enter(start)],
            entered: HashSet::new(),
        }
    }
}

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
