//! SQL processors on DataFusion's planner and expressions.
