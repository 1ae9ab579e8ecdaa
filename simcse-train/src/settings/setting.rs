//! What a setting is: a name, a type, a default, a check and a help text, declared together.
//!
//! That one declaration yields the field of the struct, its documentation, its default, its key in
//! `run.toml`, its flag with the help text, and its range check.

use simcse_model::{Named, names_of};

/// A setting of the struct `S`, looked up by name. (The training loop uses the struct's fields.)
///
/// ```
/// use simcse_train::Settings;
///
/// let setting = Settings::TABLE.iter().find(|setting| setting.name == "batch_size").unwrap();
/// assert_eq!(setting.flag(), "batch-size");
/// assert_eq!(setting.default().as_deref(), Some("128"));
/// assert_eq!(setting.accepts("many"), Err("a whole number, 0 or more".to_owned()));
/// assert_eq!(setting.accepts("1"), Err("2 or more: a sentence needs negatives".to_owned()));
/// ```
#[derive(Debug)]
pub struct Setting<S> {
    /// The key in `run.toml` and, with hyphens, the flag: `learning_rate`, `--learning-rate`.
    pub name: &'static str,
    /// The name of the value in the flag's help; empty for a switch, which takes no value.
    pub value_name: &'static str,
    /// What the setting means.
    pub help: &'static str,
    /// The default in words, if it is not a constant of this program.
    pub default_text: Option<&'static str>,
    /// The setting that is reset when this one is set.
    pub replaces: Option<&'static str>,
    /// The values that pass the check, in words.
    pub(super) expected: &'static str,
    pub(super) check: fn(&S) -> bool,
    pub(super) get: fn(&S) -> Option<toml::Value>,
    pub(super) set: fn(&mut S, &toml::Value) -> Result<(), String>,
    pub(super) parse: fn(&mut S, &str) -> Result<(), String>,
    pub(super) reset: fn(&mut S),
}

impl<S: Default> Setting<S> {
    /// The flag without its leading hyphens.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// Whether the flag takes no value.
    pub fn is_switch(&self) -> bool {
        self.value_name.is_empty()
    }

    /// The default as the help shows it; `None` if there is none.
    pub fn default(&self) -> Option<String> {
        let constant = || (self.get)(&S::default()).map(|value| shown(&value));
        self.default_text.map(str::to_owned).or_else(constant)
    }

    /// The value in `settings` as flags show it; `None` if there is none.
    pub fn value(&self, settings: &S) -> Option<String> {
        (self.get)(settings).map(|value| shown(&value))
    }

    /// Checks that a text is a value that the setting may have.
    ///
    /// # Errors
    /// What was expected.
    pub fn accepts(&self, text: &str) -> Result<(), String> {
        let mut settings = S::default();
        (self.parse)(&mut settings, text)?;
        if (self.check)(&settings) { Ok(()) } else { Err(self.expected.to_owned()) }
    }
}

/// A value as flags and messages show it: strings without quotes, lists with commas.
pub(super) fn shown(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// The value that a text stands for: a number or a Boolean if it can be parsed as one.
fn literal(text: &str) -> toml::Value {
    if let Ok(whole) = text.parse::<i64>() {
        return whole.into();
    }
    if let Ok(number) = text.parse::<f64>() {
        return number.into();
    }
    match text {
        "true" => true.into(),
        "false" => false.into(),
        _ => text.into(),
    }
}

/// A type that a setting may have.
pub(super) trait Value: Sized {
    /// Reads a value; the error says what was expected.
    fn from_toml(value: &toml::Value) -> Result<Self, String>;

    /// Reads a value from a flag's text; the error says what was expected.
    fn from_text(text: &str) -> Result<Self, String> {
        Self::from_toml(&literal(text))
    }

    /// The value to write; `None` if there is no value.
    fn to_toml(&self) -> Option<toml::Value>;
}

macro_rules! whole_numbers {
    ($($Type:ty),*) => {$(
        impl Value for $Type {
            fn from_toml(value: &toml::Value) -> Result<Self, String> {
                let whole = value.as_integer().and_then(|whole| whole.try_into().ok());
                whole.ok_or_else(|| "a whole number, 0 or more".to_owned())
            }

            fn to_toml(&self) -> Option<toml::Value> {
                // TOML's integers have 63 bits. A larger number is only ever shown in the error
                // about it.
                Some(i64::try_from(*self).map_or_else(|_| self.to_string().into(), toml::Value::from))
            }
        }
    )*};
}

whole_numbers!(u32, u64, usize);

impl Value for f64 {
    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        let whole = || value.as_integer().map(|whole| whole as f64);
        value.as_float().or_else(whole).ok_or_else(|| "a number".to_owned())
    }

    fn to_toml(&self) -> Option<toml::Value> {
        Some((*self).into())
    }
}

impl Value for f32 {
    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        f64::from_toml(value).map(|number| number as f32)
    }

    /// The shortest decimal: 0.1, not 0.10000000149011612.
    fn to_toml(&self) -> Option<toml::Value> {
        self.to_string().parse::<f64>().ok().map(toml::Value::from)
    }
}

impl Value for bool {
    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| "true or false".to_owned())
    }

    fn to_toml(&self) -> Option<toml::Value> {
        Some((*self).into())
    }
}

impl Value for String {
    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        value.as_str().map(str::to_owned).ok_or_else(|| "a text".to_owned())
    }

    /// Unchanged, even if it looks like a number.
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    /// An empty text is no value.
    fn to_toml(&self) -> Option<toml::Value> {
        (!self.is_empty()).then(|| self.as_str().into())
    }
}

impl<T: Value> Value for Option<T> {
    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        T::from_toml(value).map(Some)
    }

    fn from_text(text: &str) -> Result<Self, String> {
        T::from_text(text).map(Some)
    }

    fn to_toml(&self) -> Option<toml::Value> {
        self.as_ref().and_then(T::to_toml)
    }
}

impl<T: Value> Value for Vec<T> {
    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        value.as_array().ok_or("a list")?.iter().map(T::from_toml).collect()
    }

    /// Values are separated by commas; an empty text is an empty list.
    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::new());
        }
        text.split(',').map(|text| T::from_text(text.trim())).collect()
    }

    /// An empty list is no value.
    fn to_toml(&self) -> Option<toml::Value> {
        let values: Vec<_> = self.iter().filter_map(T::to_toml).collect();
        (!values.is_empty()).then(|| values.into())
    }
}

/// Reads a value that is chosen by name: the [`Value::from_toml`] of such types.
pub(super) fn named_from_toml<T: Named>(value: &toml::Value) -> Result<T, String> {
    let name = value.as_str().ok_or_else(names_of::<T>)?;
    T::from_name(name).map_err(|unknown| unknown.expected)
}

/// Declares a struct of settings and its constant `TABLE`, with everything else that is known of
/// each.
macro_rules! settings {
    (
        $(#[$meta:meta])*
        pub struct $Settings:ident {
            $(
                $(#[doc = $help:literal])+
                $name:ident: $Type:ty = $default:expr,
                    $value_name:literal $(default $default_text:literal)? $(replaces $replaced:ident)?,
                    $expected:literal if $check:expr;
            )+
        }
    ) => {
        $(#[$meta])*
        pub struct $Settings {
            $($(#[doc = $help])+ pub $name: $Type,)+
        }

        impl Default for $Settings {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl $Settings {
            /// Every setting, in the order of the help.
            pub const TABLE: &'static [Setting<Self>] = &[$(
                Setting {
                    name: stringify!($name),
                    value_name: $value_name,
                    help: concat!($($help),+),
                    default_text: optional!($($default_text)?),
                    replaces: optional!($(stringify!($replaced))?),
                    expected: $expected,
                    check: |settings| {
                        let check: fn(&$Type) -> bool = $check;
                        check(&settings.$name)
                    },
                    get: |settings| settings.$name.to_toml(),
                    set: |settings, value| {
                        settings.$name = Value::from_toml(value)?;
                        Ok(())
                    },
                    parse: |settings, text| {
                        settings.$name = Value::from_text(text)?;
                        Ok(())
                    },
                    reset: |settings| settings.$name = $default,
                },
            )+];
        }
    };
}

macro_rules! optional {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}

pub(super) use {optional, settings};
