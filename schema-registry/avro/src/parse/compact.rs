//! The arena that readers see: what the root reaches, in the order of the text, names replaced by their definitions.

use super::Draft;
use crate::model::{Kind, Node, NodeId};

const NOWHERE: u32 = u32::MAX;

/// Drafts before `first_own` came from referenced texts; the last part of the answer says so of each node.
pub(super) fn compact(drafts: Vec<Draft>, root: NodeId, first_own: usize) -> (Vec<Node>, NodeId, Vec<bool>) {
    let target = |id: NodeId| match &drafts[id.index()] {
        Draft::Type(_) => id,
        Draft::Pending(pending) => pending.target.expect("the names of the text are resolved"),
    };
    let mut places = vec![NOWHERE; drafts.len()];
    let mut order = Vec::new();
    let mut work = vec![root];
    while let Some(id) = work.pop() {
        let id = target(id);
        if places[id.index()] != NOWHERE {
            continue;
        }
        places[id.index()] = u32::try_from(order.len()).expect("the drafts were counted in 32 bits");
        order.push(id);
        let Draft::Type(node) = &drafts[id.index()] else {
            continue;
        };
        match &node.kind {
            Kind::Array(element) | Kind::Map(element) => work.push(*element),
            Kind::Union(branches) => work.extend(branches.iter().rev()),
            Kind::Record(record) => work.extend(record.fields.iter().rev().map(|field| field.schema)),
            _ => {}
        }
    }
    // Where a draft has gone, through its name if it is one.
    let moved: Vec<NodeId> = (0..drafts.len() as u32)
        .map(NodeId)
        .map(|id| match &drafts[id.index()] {
            Draft::Type(_) => NodeId(places[id.index()]),
            Draft::Pending(pending) => {
                NodeId(pending.target.map_or(NOWHERE, |target| places[target.index()]))
            }
        })
        .collect();
    let external = order.iter().map(|id| id.index() < first_own).collect();
    let mut taken: Vec<Option<Draft>> = drafts.into_iter().map(Some).collect();
    let nodes = order
        .iter()
        .filter_map(|id| match taken[id.index()].take() {
            Some(Draft::Type(mut node)) => {
                relocate(&mut node.kind, &moved);
                Some(node)
            }
            _ => None,
        })
        .collect();
    (nodes, moved[root.index()], external)
}

fn relocate(kind: &mut Kind, moved: &[NodeId]) {
    match kind {
        Kind::Array(element) | Kind::Map(element) => *element = moved[element.index()],
        Kind::Union(branches) => branches
            .iter_mut()
            .for_each(|branch| *branch = moved[branch.index()]),
        Kind::Record(record) => record
            .fields
            .iter_mut()
            .for_each(|field| field.schema = moved[field.schema.index()]),
        _ => {}
    }
}
