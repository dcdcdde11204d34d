//! The schema registry over a log: the _schemas topic and the REST interface.
