use super::State;
use crate::{
    model::{Config, Level, Mode},
    subject::QualifiedSubject,
};

/// What holds where nobody has said anything.
pub(crate) const DEFAULT_LEVEL: Level = Level::Backward;

impl State {
    /// What was set for a subject itself, or for the whole registry.
    pub fn config(&self, subject: Option<&QualifiedSubject>) -> Option<&Config> {
        self.configs.get(&subject.cloned())
    }

    /// What holds for a subject: its own settings, then those of its context, then those of the registry.
    pub fn config_in_scope(&self, subject: Option<&QualifiedSubject>) -> Config {
        let mut config = Config::default();
        for scope in scopes(subject) {
            if let Some(wider) = self.configs.get(&scope) {
                config = if scope.as_ref() == subject {
                    wider.clone()
                } else {
                    config.or(wider)
                };
            }
        }
        config.or(&Config::of_level(DEFAULT_LEVEL))
    }

    /// The subjects that are other names of one.
    pub fn aliases_of(&self, subject: &QualifiedSubject) -> Vec<String> {
        let is_alias = |name: &QualifiedSubject, config: &Config| {
            let target = config.alias.as_deref()?;
            (name.sibling(target) == *subject).then(|| name.to_string())
        };
        let named = self
            .configs
            .iter()
            .filter_map(|(name, config)| is_alias(name.as_ref()?, config));
        named.collect()
    }

    /// The mode that was set for a subject itself, or for the whole registry.
    pub fn mode(&self, subject: Option<&QualifiedSubject>) -> Option<Mode> {
        self.modes.get(&subject.cloned()).copied()
    }

    /// Subjects and contexts with a mode of their own, within a context or all there are.
    pub(crate) fn modes_within(
        &self,
        scope: Option<&QualifiedSubject>,
    ) -> impl Iterator<Item = &QualifiedSubject> {
        let is_within = move |subject: &&QualifiedSubject| match scope {
            None => true,
            Some(scope) => {
                scope.name().is_empty() && *subject != scope && subject.context() == scope.context()
            }
        };
        self.modes.keys().flatten().filter(is_within)
    }

    /// The mode that holds for a subject.
    pub fn mode_in_scope(&self, subject: Option<&QualifiedSubject>) -> Mode {
        if self.mode(None) == Some(Mode::ReadOnlyOverride) {
            return Mode::ReadOnlyOverride;
        }
        let mut modes = scopes(subject).filter_map(|scope| self.modes.get(&scope));
        modes.next().copied().unwrap_or_default()
    }
}

/// From the subject itself to the whole registry.
fn scopes(subject: Option<&QualifiedSubject>) -> impl Iterator<Item = Option<QualifiedSubject>> {
    let context = subject.filter(|s| !s.is_in_default_context() && !s.is_context());
    let context = context.map(|s| QualifiedSubject::of_context(s.context()));
    [subject.cloned().map(Some), context.map(Some), Some(None)]
        .into_iter()
        .flatten()
}
