//! What the schema registry decides: subjects, versions, ids, configuration, modes, as a pure state machine.
