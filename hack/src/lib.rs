//! No code: this crate only unifies dependency features (docs/adr/0002).
