//! Settings as text: flags, recipes, and the table `[settings]` of `run.toml`.

use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};
use crate::settings::recipe::Recipe;
use crate::settings::setting::{Setting, shown};
use crate::settings::table::Settings;

impl Settings {
    /// The same settings under a recipe, which takes precedence where it names a value.
    ///
    /// ```
    /// use simcse_train::{Recipe, Settings};
    ///
    /// let settings = Settings { learning_rate: 1e-4, epochs: 3, ..Settings::default() };
    /// let published = settings.with_recipe(Recipe::St2021);
    /// assert_eq!((published.learning_rate, published.epochs), (2e-5, 3));
    /// ```
    #[must_use]
    pub fn with_recipe(mut self, recipe: Recipe) -> Self {
        self.recipe = Some(recipe);
        for (name, text) in recipe.values() {
            self.set(name, text).expect("a recipe names settings and their values");
        }
        self
    }

    /// Parses a value and sets it. A setting that it replaces is reset to its default.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no such setting, or if the text is not a value of its type.
    /// Ranges are checked by [`Settings::check`].
    ///
    /// ```
    /// use simcse_train::Settings;
    ///
    /// let mut settings = Settings { max_steps: Some(100), ..Settings::default() };
    /// settings.set("epochs", "3")?;
    /// assert_eq!((settings.epochs, settings.max_steps), (3, None));
    /// # Ok::<(), simcse_train::Error>(())
    /// ```
    pub fn set(&mut self, name: &str, text: &str) -> Result<()> {
        let setting = named(name)?;
        if let Some(replaced) = setting.replaces {
            (named(replaced)?.reset)(self);
        }
        (setting.parse)(self, text).map_err(|expected| Error::Setting {
            setting: setting.flag(),
            expected,
            found: text.to_owned(),
        })
    }
}

/// The setting with this name, written with underscores or hyphens.
fn named(name: &str) -> Result<&'static Setting<Settings>> {
    let found = Settings::TABLE.iter().find(|setting| setting.name == name || setting.flag() == name);
    found.ok_or_else(|| Error::Setting {
        setting: name.to_owned(),
        expected: "the name of a setting".to_owned(),
        found: "an unknown name".to_owned(),
    })
}

/// The table `[settings]` in `run.toml`: a key for every setting that has a value.
impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for setting in Self::TABLE {
            if let Some(value) = (setting.get)(self) {
                map.serialize_entry(setting.name, &value)?;
            }
        }
        map.end()
    }
}

/// A setting without a key gets its default.
impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let mut settings = Self::default();
        for (name, value) in toml::Table::deserialize(deserializer)? {
            let setting = named(&name).map_err(D::Error::custom)?;
            (setting.set)(&mut settings, &value).map_err(|expected| {
                D::Error::custom(format_args!("{name}: expected {expected}, found {}", shown(&value)))
            })?;
        }
        Ok(settings)
    }
}
