use super::{
    answer::{Answer, Error},
    call::Call,
};
use crate::Registry;

const MOST_CONTEXTS: usize = 1000;

pub(super) fn list(registry: &Registry, call: &Call<'_>) -> Result<Answer, Error> {
    let (skip, most) = call.page(MOST_CONTEXTS)?;
    registry.read(|state| {
        Ok(Answer::json(
            &state.contexts().skip(skip).take(most).collect::<Vec<_>>(),
        ))
    })
}

pub(super) async fn delete(registry: &Registry, context: &str) -> Result<Answer, Error> {
    let context = context.to_owned();
    registry
        .write(move |state| state.delete_context(&context))
        .await?;
    Ok(Answer::no_content())
}
