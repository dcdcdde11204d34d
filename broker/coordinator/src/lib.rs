//! Groups, offsets and transactions as pure state machines.
