//! A query and the schema of its stream to a chain of operators.

use std::sync::Arc;

use arrow_schema::{DataType, FieldRef, Schema, SchemaRef};
use datafusion_common::{
    Column, DFSchema, DataFusionError, TableReference,
    config::ConfigOptions,
    plan_datafusion_err,
    tree_node::{Transformed, TreeNode},
};
use datafusion_expr::{
    AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF, TableSource, WindowUDF,
    execution_props::ExecutionProps,
    physical_planning_context::PhysicalPlanningContext,
    planner::{ContextProvider, ExprPlanner},
};
use datafusion_optimizer::{
    Analyzer, Optimizer, OptimizerContext, OptimizerRule, analyzer::type_coercion::TypeCoercion,
    common_subexpr_eliminate::CommonSubexprEliminate, optimize_projections::OptimizeProjections,
    push_down_filter::PushDownFilter, simplify_expressions::SimplifyExpressions,
};
use datafusion_physical_expr::{PhysicalExpr, create_physical_expr, expressions::BinaryExpr};
use datafusion_sql::{
    planner::{ParserOptions, SqlToRel},
    sqlparser::ast::{ExcludeSelectItem, Ident, ObjectName, Query, SelectItem, Statement},
};
use millstream_sdk::StreamSchema;

use crate::{
    clauses,
    fault::{Fault, missing_column},
    functions,
    input::{Meta, Scan, table},
    operator::{Filter, Operator, Project},
    parse::for_each_select,
};

/// A query that is ready to run.
pub(crate) struct Program {
    pub(crate) scan: Scan,
    pub(crate) operators: Vec<Operator>,
    /// The columns of the result, all of types that formats can carry.
    pub(crate) output: SchemaRef,
    /// The steps, for people, from the stream on.
    pub(crate) steps: Vec<String>,
}

/// Types the query against the stream called `name`.
pub(crate) fn plan(mut query: Box<Query>, name: &str, stream: &StreamSchema) -> Result<Program, Vec<Fault>> {
    let refusals = clauses::refusals(&query);
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let written = query.clone();
    hide_meta_columns(&mut query, stream);
    let context = Context::new(name, stream);
    logical_plan(*query, &context)
        .map_err(|error| {
            let missing =
                missing_column(&error).and_then(|column| clauses::place_of_column(&written, &column.name));
            let fault = Fault::from(error);
            match missing {
                Some(span) => fault.at(span),
                None => fault,
            }
        })
        .and_then(|plan| compile(&plan, stream, &context))
        .map_err(|fault| vec![fault])
}

/// `SELECT *` means the columns of the value: the others must be named.
fn hide_meta_columns(query: &mut Query, stream: &StreamSchema) {
    let hidden: Vec<_> = Meta::of(stream)
        .map(|meta| ObjectName::from(vec![Ident::new(meta.name())]))
        .collect();
    if hidden.is_empty() {
        return;
    }
    for_each_select(query, &mut |select, reads_stream| {
        let wildcards = select.projection.iter_mut().filter_map(|item| match item {
            SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => Some(options),
            _ => None,
        });
        for options in wildcards.filter(|_| reads_stream.is_some()) {
            let mut excluded = match options.opt_exclude.take() {
                None => Vec::new(),
                Some(ExcludeSelectItem::Single(column)) => vec![column],
                Some(ExcludeSelectItem::Multiple(columns)) => columns,
            };
            excluded.extend(
                hidden
                    .iter()
                    .filter(|name| !excluded.contains(name))
                    .cloned()
                    .collect::<Vec<_>>(),
            );
            options.opt_exclude = Some(ExcludeSelectItem::Multiple(excluded));
        }
    });
}

/// Typed, with the result's columns in types that can be written, and simplified to filters and projections.
fn logical_plan(query: Query, context: &Context) -> Result<LogicalPlan, DataFusionError> {
    let options = ParserOptions {
        // Column names are taken as they are written: topics hold `userId` and `user_id` alike.
        enable_ident_normalization: false,
        map_string_types_to_utf8view: false,
        collect_spans: true,
        ..ParserOptions::default()
    };
    let statement = Statement::Query(Box::new(query));
    let plan = SqlToRel::new_with_options(context, options).sql_statement_to_plan(statement)?;
    let plan = analyze(plan, context)?;
    let plan = analyze(with_writable_columns(plan)?, context)?;
    let rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = vec![
        Arc::new(SimplifyExpressions::new()),
        Arc::new(PushDownFilter::new()),
        Arc::new(CommonSubexprEliminate::new()),
        Arc::new(OptimizeProjections::new()),
    ];
    let optimizer_context = OptimizerContext::new_with_config_options(context.options.clone())
        .without_query_execution_start_time()
        .with_skip_failing_rules(false);
    Optimizer::with_rules(rules).optimize(plan, &optimizer_context, |_, _| ())
}

fn analyze(plan: LogicalPlan, context: &Context) -> Result<LogicalPlan, DataFusionError> {
    let rules = Analyzer::with_rules(vec![Arc::new(TypeCoercion::new())]);
    rules.execute_and_check(plan, &context.options, |_, _| ())
}

/// Strips the qualifiers of the result's columns and casts where only the layout of a type stands in the way.
fn with_writable_columns(plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let column = |(qualifier, field): (Option<&TableReference>, &FieldRef)| {
        let column = Expr::Column(Column::from((qualifier, field)));
        let column = match writable(field.data_type()) {
            Some(data_type) => datafusion_expr::cast(column, data_type),
            None => column,
        };
        column.alias(field.name())
    };
    let columns: Vec<_> = plan.schema().iter().map(column).collect();
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}

/// The type that carries the same values and that formats know, where `data_type` is not such a type.
fn writable(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 | DataType::Null => Some(DataType::Utf8),
        DataType::Time32(_) | DataType::Time64(_) => Some(DataType::Utf8),
        DataType::BinaryView | DataType::LargeBinary | DataType::FixedSizeBinary(_) => Some(DataType::Binary),
        DataType::Float16 => Some(DataType::Float32),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            Some(DataType::Decimal128(*precision, *scale))
        }
        DataType::Date64 => Some(DataType::Timestamp(arrow_schema::TimeUnit::Millisecond, None)),
        DataType::Timestamp(unit, Some(zone)) if zone.as_ref() != "UTC" => {
            Some(DataType::Timestamp(*unit, Some("UTC".into())))
        }
        DataType::Dictionary(_, values) => Some(writable(values).unwrap_or_else(|| values.as_ref().clone())),
        _ => None,
    }
}

fn compile(plan: &LogicalPlan, stream: &StreamSchema, context: &Context) -> Result<Program, Fault> {
    for field in plan.schema().fields() {
        if !millstream_sdk::is_supported(field.data_type()) {
            let problem = format!(
                "column '{}' has type {}, which a record cannot carry",
                field.name(),
                field.data_type()
            );
            return Err(
                Fault::new(problem).help("cast it, or take it apart: for example `array_to_string(x, ',')`")
            );
        }
    }
    let mut chain = Chain {
        context,
        operators: Vec::new(),
        steps: Vec::new(),
    };
    let projection = chain.compile(plan)?;
    let Chain { operators, steps, .. } = chain;
    Ok(Program {
        scan: Scan::new(stream, &projection).map_err(|error| Fault::new(error.to_string()))?,
        operators,
        output: Arc::new(Schema::new(plan.schema().fields().clone())),
        steps,
    })
}

/// A plan being turned into operators, innermost first.
struct Chain<'c> {
    context: &'c Context,
    operators: Vec<Operator>,
    steps: Vec<String>,
}

impl Chain<'_> {
    /// Answers which columns of the table the plan reads.
    fn compile(&mut self, plan: &LogicalPlan) -> Result<Vec<usize>, Fault> {
        match plan {
            LogicalPlan::SubqueryAlias(alias) => self.compile(&alias.input),
            LogicalPlan::Projection(projection) => {
                let read = self.compile(&projection.input)?;
                let input = projection.input.schema();
                let columns = projection.expr.iter().map(|expr| self.expr(expr, input));
                let project = Project {
                    columns: columns.collect::<Result<_, _>>()?,
                    schema: nullable(&projection.schema),
                };
                self.operators.push(Operator::Project(project));
                self.steps.push(format!("select {}", list(&projection.expr)));
                Ok(read)
            }
            LogicalPlan::Filter(filter) => {
                let read = self.compile(&filter.input)?;
                let predicate = self.expr(&filter.predicate, filter.input.schema())?;
                self.operators.push(Operator::Filter(Filter { predicate }));
                self.steps.push(format!("keep where {}", filter.predicate));
                Ok(read)
            }
            LogicalPlan::TableScan(scan) if scan.filters.is_empty() => {
                let all = || (0..scan.source.schema().fields().len()).collect();
                Ok(scan.projection.clone().unwrap_or_else(all))
            }
            other => Err(Fault::new(format!(
                "this query needs '{}', which is not available yet",
                other.display()
            ))
            .help("a processor is SELECT … FROM one topic WHERE …")),
        }
    }

    fn expr(&self, expr: &Expr, input: &DFSchema) -> Result<Arc<dyn PhysicalExpr>, Fault> {
        let props = ExecutionProps {
            config_options: Some(self.context.options.clone()),
            ..ExecutionProps::new()
        };
        let expr = create_physical_expr(expr, input, &props, &PhysicalPlanningContext::default())?;
        Ok(expr.transform_up(checked)?.data)
    }
}

/// An overflow is an error of the row, not another number.
fn checked(expr: Arc<dyn PhysicalExpr>) -> Result<Transformed<Arc<dyn PhysicalExpr>>, DataFusionError> {
    let Some(binary) = expr.downcast_ref::<BinaryExpr>() else {
        return Ok(Transformed::no(expr));
    };
    Ok(Transformed::yes(Arc::new(
        binary.clone().with_fail_on_overflow(true),
    )))
}

/// Between operators nobody relies on NOT NULL, which functions promise less exactly than they keep it.
fn nullable(schema: &DFSchema) -> SchemaRef {
    let field = |field: &FieldRef| field.as_ref().clone().with_nullable(true);
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn list(exprs: &[Expr]) -> String {
    exprs.iter().map(Expr::to_string).collect::<Vec<_>>().join(", ")
}

/// What SQL can name.
struct Context {
    name: String,
    table: Arc<dyn TableSource>,
    options: Arc<ConfigOptions>,
    expr_planners: Vec<Arc<dyn ExprPlanner>>,
}

impl Context {
    fn new(name: &str, stream: &StreamSchema) -> Self {
        let mut options = ConfigOptions::default();
        options.execution.time_zone = Some("UTC".into());
        Self {
            name: name.to_owned(),
            table: Arc::new(Table(Arc::new(table(stream)))),
            options: Arc::new(options),
            expr_planners: functions::expr_planners(),
        }
    }
}

/// What the planner sees of a stream. It takes no filters: they stay in the plan and become operators.
struct Table(SchemaRef);

impl TableSource for Table {
    fn schema(&self) -> SchemaRef {
        self.0.clone()
    }
}

impl ContextProvider for Context {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>, DataFusionError> {
        let parts = [name.catalog(), name.schema(), Some(name.table())];
        let wanted = parts.into_iter().flatten().collect::<Vec<_>>().join(".");
        if wanted == self.name {
            return Ok(self.table.clone());
        }
        Err(plan_datafusion_err!("there is no stream '{wanted}'"))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        functions::SCALAR.get(&name.to_lowercase()).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        functions::HIGHER_ORDER.get(&name.to_lowercase()).cloned()
    }

    fn get_aggregate_meta(&self, _name: &str) -> Option<Arc<AggregateUDF>> {
        None
    }

    fn get_window_meta(&self, _name: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.expr_planners
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        functions::SCALAR.keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        functions::HIGHER_ORDER.keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}
