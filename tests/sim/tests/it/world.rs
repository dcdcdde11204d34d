//! Virtual time: a queue of events, each at a millisecond of its own.
//!
//! Whatever runs between two events runs to its end before the next one, because the clock of the runtime stands still
//! while anything can run. So two events never race, and what an event sets off is ordered by the events it makes. As the
//! broker may do several things at once after one event, whose events must not depend on which was first, everybody has
//! a [`Lane`]: milliseconds that nobody else takes.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use millstream_types::{Clock, ManualClock, Timestamp};
use tokio::{sync::oneshot, time::Instant};

/// Where virtual time begins for the broker: some day in 2024.
const START_MS: i64 = 1_720_000_000_000;

/// The milliseconds with that remainder by [`LANES`].
pub(crate) type Lane = u64;
pub(crate) const LANES: u64 = 20;
/// The broker's disk, faults, restarts.
pub(crate) const WORLD: Lane = 0;

type Action = Box<dyn FnOnce()>;

pub(crate) struct World {
    pub(crate) seed: u64,
    /// The broker's wall clock; it may jump.
    pub(crate) clock: Arc<ManualClock>,
    now_ms: Cell<u64>,
    events: RefCell<BTreeMap<u64, (String, Action)>>,
    trace: RefCell<Vec<String>>,
    /// Clients finish what they have begun, and begin nothing new.
    pub(crate) finishing: Cell<bool>,
    /// Nothing more comes to be copied.
    pub(crate) fed: Cell<bool>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Rc<Self> {
        Rc::new(Self {
            seed,
            clock: Arc::new(ManualClock::at(Timestamp(START_MS))),
            now_ms: Cell::new(0),
            events: RefCell::default(),
            trace: RefCell::default(),
            finishing: Cell::new(false),
            fed: Cell::new(false),
        })
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// What the broker takes for the time.
    pub(crate) fn wall(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets something happen at that time, or at the next free millisecond of the lane; answers when. An empty name leaves no trace.
    pub(crate) fn at(&self, lane: Lane, at_ms: u64, name: String, action: impl FnOnce() + 'static) -> u64 {
        let mut events = self.events.borrow_mut();
        let mut at_ms = at_ms.max(self.now_ms.get() + 1);
        at_ms += (lane + LANES - at_ms % LANES) % LANES;
        while events.contains_key(&at_ms) {
            at_ms += LANES;
        }
        events.insert(at_ms, (name, Box::new(action)));
        at_ms
    }

    pub(crate) fn after(
        &self,
        lane: Lane,
        delay_ms: u64,
        name: String,
        action: impl FnOnce() + 'static,
    ) -> u64 {
        self.at(lane, self.now_ms.get() + delay_ms, name, action)
    }

    pub(crate) async fn sleep(&self, lane: Lane, delay_ms: u64) {
        let (tell, told) = oneshot::channel();
        self.after(lane, delay_ms, String::new(), move || {
            // whoever slept may be gone
            let _ = tell.send(());
        });
        told.await.expect("events happen");
    }

    pub(crate) fn note(&self, what: String) {
        self.trace
            .borrow_mut()
            .push(format!("{} {what}", self.now_ms.get()));
    }

    pub(crate) fn take_trace(&self) -> Vec<String> {
        self.trace.take()
    }

    /// Lets time pass until `done`, at most so long; answers whether it was.
    pub(crate) async fn pass(&self, limit_ms: u64, mut done: impl FnMut() -> bool) -> bool {
        let started = Instant::now();
        let begin_ms = self.now_ms.get();
        while self.now_ms.get() < begin_ms + limit_ms {
            if done() {
                return true;
            }
            let now_ms = self.now_ms.get() + 1;
            // the runtime's clock moves when nothing can run any more
            tokio::time::sleep_until(started + Duration::from_millis(now_ms - begin_ms)).await;
            self.now_ms.set(now_ms);
            self.clock.advance_ms(1);
            let event = self.events.borrow_mut().remove(&now_ms);
            if let Some((name, action)) = event {
                if !name.is_empty() {
                    self.note(name);
                }
                action();
            }
        }
        false
    }
}
