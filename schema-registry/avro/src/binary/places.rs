//! Where the operations of a flat program are in the schema, for error messages.

use std::fmt::Write;

use super::walk::{Frame, Pc, Walk};

/// One step of the way from the root of a unit to the value of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The root of a unit: of code that stands for itself or is called.
    Unit,
    Field(Box<str>),
    /// An item of an array.
    Item,
    /// A value of a map.
    Entry,
}

/// A place in a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u32);

/// The places of a program's operations: ways as a tree, in which each step names the one before it.
#[derive(Debug, Default)]
pub struct Places {
    steps: Vec<(Place, Step)>,
    /// For each operation.
    places: Vec<Place>,
}

impl Places {
    /// The root of a new unit.
    pub fn unit(&mut self) -> Place {
        self.inside(Place(0), Step::Unit)
    }

    /// One step further.
    pub fn inside(&mut self, outer: Place, step: Step) -> Place {
        self.steps.push((outer, step));
        Place(u32::try_from(self.steps.len() - 1).expect("a schema has far less than 2^32 nodes"))
    }

    /// The place of the next operation.
    pub fn mark(&mut self, place: Place) {
        self.places.push(place);
    }

    /// Takes back operations: so many stay.
    pub fn truncate(&mut self, operations: usize) {
        self.places.truncate(operations);
    }

    /// The path to the operation at which a walk through `datum` stopped: `items[3].price`, `labels["colour"]`.
    pub fn path(&self, walk: &Walk, datum: &[u8]) -> String {
        // Each call continues the way of its caller; each block belongs to the next step into an array or map.
        let calls = walk.frames.iter().filter_map(|frame| match frame {
            Frame::Call { back } => Some(back - 1),
            Frame::Block { .. } => None,
        });
        let mut blocks = walk.frames.iter().filter_map(|frame| match frame {
            Frame::Block { index, key, .. } => Some((*index, key.clone())),
            Frame::Call { .. } => None,
        });
        let mut path = String::new();
        for step in calls.chain([walk.pc]).flat_map(|pc| self.way(pc)) {
            match step {
                Step::Unit => {}
                Step::Field(name) => push_field(&mut path, name),
                Step::Item => {
                    if let Some((index, _)) = blocks.next() {
                        push_index(&mut path, index);
                    }
                }
                Step::Entry => {
                    if let Some((_, key)) = blocks.next() {
                        push_key(&mut path, datum.get(key).unwrap_or_default());
                    }
                }
            }
        }
        shortened(path)
    }

    /// The steps from the root of a unit to an operation.
    fn way(&self, pc: Pc) -> Vec<&Step> {
        let mut way = Vec::new();
        let mut place = self.places[pc as usize];
        loop {
            let (outer, step) = &self.steps[place.0 as usize];
            way.push(step);
            if *step == Step::Unit {
                way.reverse();
                return way;
            }
            place = *outer;
        }
    }
}

fn push_field(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

fn push_index(path: &mut String, index: u64) {
    write!(path, "[{index}]").expect("writing to memory never fails");
}

fn push_key(path: &mut String, key: &[u8]) {
    const SHOWN: usize = 40;
    let text = String::from_utf8_lossy(key);
    let shown: String = text.chars().take(SHOWN).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    write!(path, "[{shown:?}{more}]").expect("writing to memory never fails");
}

/// The end of a long path, for that is where the trouble is.
fn shortened(path: String) -> String {
    const SHOWN: usize = 512;
    if path.len() <= SHOWN {
        return path;
    }
    let cut = path.len() - SHOWN;
    let cut = (cut..path.len()).find(|at| path.is_char_boundary(*at));
    format!("…{}", &path[cut.unwrap_or(path.len())..])
}
