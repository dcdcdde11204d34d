//! The functions that SQL may call: all of DataFusion's scalar functions, except those that read the wall clock.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use datafusion_expr::{HigherOrderUDF, ScalarUDF, planner::ExprPlanner};
use datafusion_functions::{
    core::planner::CoreFunctionPlanner, datetime::planner::DatetimeFunctionPlanner,
    unicode::planner::UnicodeFunctionPlanner,
};
use datafusion_functions_nested::planner::{FieldAccessPlanner, NestedFunctionPlanner};

use crate::fault::{Fault, did_you_mean, nearest};

/// By lowercase name, aliases included.
pub(crate) static SCALAR: LazyLock<BTreeMap<String, Arc<ScalarUDF>>> = LazyLock::new(|| {
    let all = datafusion_functions::all_default_functions()
        .into_iter()
        .chain(datafusion_functions_nested::all_default_nested_functions());
    let mut by_name = BTreeMap::new();
    for function in all {
        let names = std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str));
        for name in names.filter(|name| !is_one_of(WALL_CLOCK, name)) {
            by_name.insert(name.to_lowercase(), function.clone());
        }
    }
    by_name
});

pub(crate) static HIGHER_ORDER: LazyLock<BTreeMap<String, Arc<HigherOrderUDF>>> = LazyLock::new(|| {
    let all = datafusion_functions_nested::all_default_higher_order_functions();
    all.into_iter()
        .map(|function| (function.name().to_lowercase(), function))
        .collect()
});

/// What gives syntax such as `EXTRACT`, `POSITION` or `[1, 2]` its function.
pub(crate) fn expr_planners() -> Vec<Arc<dyn ExprPlanner>> {
    vec![
        Arc::new(CoreFunctionPlanner::default()),
        Arc::new(DatetimeFunctionPlanner),
        Arc::new(UnicodeFunctionPlanner),
        Arc::new(NestedFunctionPlanner),
        Arc::new(FieldAccessPlanner),
    ]
}

const WALL_CLOCK: &[&str] = &[
    "now",
    "current_timestamp",
    "current_date",
    "current_time",
    "today",
    "localtime",
    "localtimestamp",
];

const AGGREGATES: &[&str] = &[
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar",
    "covar_pop",
    "covar_samp",
    "first_value",
    "grouping",
    "last_value",
    "max",
    "mean",
    "median",
    "min",
    "nth_value",
    "percentile_cont",
    "regr_slope",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var",
    "var_pop",
    "var_samp",
];

const WINDOWS: &[&str] = &[
    "cume_dist",
    "dense_rank",
    "hop",
    "lag",
    "lead",
    "ntile",
    "percent_rank",
    "rank",
    "row_number",
    "session",
    "tumble",
];

/// Why a function cannot be called; `None`: it can.
pub(crate) fn refusal(name: &str) -> Option<Fault> {
    let lower = name.to_lowercase();
    if SCALAR.contains_key(&lower) || HIGHER_ORDER.contains_key(&lower) {
        return None;
    }
    let refused = if is_one_of(WALL_CLOCK, &lower) {
        Fault::new(format!(
            "{lower}() would answer differently when a record is processed again"
        ))
        .help("use `_ts`, the timestamp of the record")
    } else if is_one_of(AGGREGATES, &lower) {
        Fault::new(format!("{lower}() needs state: aggregates are not available yet"))
            .help("a processor sees one record at a time: use expressions of its columns")
    } else if is_one_of(WINDOWS, &lower) {
        Fault::new(format!("{lower}() needs state: windows are not available yet"))
    } else if lower == "unnest" {
        Fault::new("unnest() makes several records of one: it is not available yet")
    } else {
        let unknown = Fault::new(format!("there is no function '{name}'"));
        let known = SCALAR.keys().chain(HIGHER_ORDER.keys()).map(String::as_str);
        match nearest(&lower, known) {
            Some(name) => unknown.help(did_you_mean(name)),
            None => unknown,
        }
    };
    Some(refused)
}

fn is_one_of(names: &[&str], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scalar_function_is_there_but_no_clock() {
        for name in [
            "upper",
            "date_trunc",
            "regexp_like",
            "to_timestamp",
            "array_to_string",
            "md5",
            "coalesce",
        ] {
            assert_eq!(refusal(name), None, "{name}");
        }
        assert!(SCALAR.len() > 200, "{}", SCALAR.len());
        for name in WALL_CLOCK.iter().chain(AGGREGATES).chain(WINDOWS) {
            assert!(refusal(name).is_some(), "{name}");
        }
    }

    #[test]
    fn an_unknown_function_is_answered_with_the_nearest() {
        let fault = refusal("uper").unwrap();
        assert_eq!(fault.message, "there is no function 'uper'");
        assert_eq!(fault.help.as_deref(), Some("did you mean 'upper'?"));
    }
}
