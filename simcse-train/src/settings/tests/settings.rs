use simcse_model::Named;
use simcse_tensor::{Hardness, Partition};

use super::*;
use crate::settings::table::LARGEST;

#[test]
fn ranges_are_checked() {
    for &recipe in Recipe::ALL {
        Settings::default().with_recipe(recipe).check().unwrap();
    }
    let message = |settings: Settings| settings.check().unwrap_err().to_string();
    let defaults = Settings::default;
    assert_eq!(message(Settings { warmup_ratio: 1.5, ..defaults() }), "--warmup-ratio: expected 0 to 1, found 1.5");
    assert_eq!(
        message(Settings { adam_epsilon: 0.0, ..defaults() }),
        "--adam-epsilon: expected a positive number, found 0.0"
    );
    assert_eq!(message(Settings { max_steps: Some(0), ..defaults() }), "--max-steps: expected 1 or more, found 0");
    assert_eq!(
        message(Settings { seed: 1 << 63, ..defaults() }),
        "--seed: expected less than 2^63, found 9223372036854775808"
    );
    assert!(message(Settings { hidden_dropout: f32::NAN, ..defaults() }).starts_with("--hidden-dropout: expected"));
}

#[test]
fn options_of_the_objective_are_checked_with_one_another() {
    let message = |set: &[(&str, &str)]| {
        let mut settings = Settings::default();
        set.iter().for_each(|(name, text)| settings.set(name, text).unwrap());
        settings.check().err().map(|error| error.to_string())
    };
    let symmetric = ("partition_mode", "per_direction");
    assert_eq!(message(&[("directions", "query_to_doc,doc_to_query"), symmetric]), None);
    for wrong in ["doc_to_query", "query_to_doc,query_to_doc"] {
        let found = message(&[("directions", wrong)]).unwrap();
        assert_eq!(found, format!("--directions: expected query_to_doc, and each direction once, found {wrong}"));
    }
    let found = message(&[("directions", "query_to_doc,doc_to_doc"), symmetric]).unwrap();
    assert!(found.starts_with("--directions: expected query_to_doc and doc_to_query only"), "{found}");
    let strength = ("hardness_strength", "5");
    assert!(message(&[strength]).unwrap().ends_with("and 0 without it, found 5"));
    assert!(message(&[("hardness_mode", "all_negatives")]).unwrap().ends_with("and 0 without it, found 0"));
    assert_eq!(message(&[("hardness_mode", "all_negatives"), strength]), None);
    let dims = ("matryoshka_dims", "384, 64");
    assert_eq!(message(&[dims, ("matryoshka_weights", "1,0.5")]), None);
    let found = message(&[dims, ("matryoshka_weights", "1")]).unwrap();
    assert_eq!(found, "--matryoshka-weights: expected as many numbers as --matryoshka-dims has, 2, found 1");
    assert!(message(&[("matryoshka_dims", "64,64")]).unwrap().starts_with("--matryoshka-dims: expected different"));
}

#[test]
fn variants_are_combined_only_as_they_are_defined() {
    let message = |set: &[(&str, &str)]| {
        let mut settings = Settings::default();
        set.iter().for_each(|(name, text)| settings.set(name, text).unwrap());
        settings.check().err().map(|error| error.to_string())
    };
    let off_dropout = ("off_dropout", "true");
    let noise = ("noise_negatives", "64");
    let hardness = [("hardness_mode", "in_batch_negatives"), ("hardness_strength", "5")];
    for fine in [
        &[off_dropout, ("pos_ratio", "0.9"), ("dup_rate", "0.32"), ("focal_m", "0.3")][..],
        &[noise, ("noise_weight", "0.5"), ("focal_m", "0.3"), ("directions", "query_to_doc,doc_to_query")],
        &[("template", "[X] means [MASK]"), ("pooling", "lasttoken"), off_dropout],
        &[("template", "the question: [X]")],
    ] {
        assert_eq!(message(fine), None, "{fine:?}");
    }
    let both = [("directions", "query_to_doc,doc_to_query"), ("partition_mode", "per_direction"), noise];
    for (wrong, start) in [
        (&[off_dropout, both[0]][..], "--off-dropout: expected it or further --directions"),
        (&[off_dropout, both[1]], "--off-dropout: expected it or --partition-mode per_direction"),
        (&[off_dropout, noise], "--off-dropout: expected it or --noise-negatives"),
        (&[off_dropout, hardness[0], hardness[1]], "--off-dropout: expected it or --hardness-mode"),
        (&[("focal_m", "0.3"), hardness[0], hardness[1]], "--focal-m: expected it or --hardness-mode"),
        (&[("pos_ratio", "0.9")], "--pos-ratio: expected 1 without --off-dropout, found 0.9"),
        (&[("noise_weight", "2")], "--noise-weight: expected 1 without --noise-negatives, found 2"),
        (&[("prompt", "This sentence : \"[X]\" means [MASK].")], "--prompt: expected a text that goes in front"),
        (
            &[("template", "This sentence : \"[X]\" means [MASK].")],
            "--template: expected a text with one [X], and [MASK] at",
        ),
        (&[("word_weights", "idf"), ("pooling", "cls")], "--pooling: expected mean with --word-weights idf, found cls"),
        (&[("template", "This sentence")], "--template: expected a text with one [X]"),
        (&[("template", "[X] and [X]")], "--template: expected a text with one [X]"),
        (&[("template", "[MASK] [X] [MASK]")], "--template: expected a text with one [X]"),
        (
            &[("template", "[X] [MASK]")],
            "--pooling: expected lasttoken with a --template that ends in [MASK], found mean",
        ),
    ] {
        let found = message(wrong).unwrap();
        assert!(found.starts_with(start), "{found}");
    }
    assert_eq!(message(&both), None);
}

#[test]
fn variants_of_a_sentences_views_are_refused_for_pairs() {
    for settings in [
        Settings { dup_rate: 0.32, ..Settings::default() },
        Settings { word_deletion: 0.3, ..Settings::default() },
        Settings { off_dropout: true, ..Settings::default() },
    ] {
        settings.check_columns(1).unwrap();
        let message = settings.check_columns(2).unwrap_err().to_string();
        assert!(message.contains("expected single sentences, whose second view it concerns"), "{message}");
    }
    Settings { focal_m: Some(0.3), noise_negatives: 9, ..Settings::default() }.check_columns(2).unwrap();
}

#[test]
fn what_needs_hard_negatives_is_refused_without_them() {
    let hardness_mode = Hardness::HardNegatives;
    for settings in [
        Settings { hardness_mode, hardness_strength: 5.0, ..Settings::default() },
        Settings { hard_negative_weight: 0.5, ..Settings::default() },
    ] {
        settings.check_columns(3).unwrap();
        for columns in [1, 2] {
            let message = settings.check_columns(columns).unwrap_err().to_string();
            assert!(message.contains("expected examples with hard negatives: a third text, found"), "{message}");
        }
    }
    Settings::default().check_columns(1).unwrap();
}

#[test]
fn options_of_the_objective_are_shown_unless_they_are_defaults() {
    assert!(Settings::default().objective_flags().is_empty() && Settings::default().pooler_flags().is_empty());
    let princeton = Settings::default().with_recipe(Recipe::PrincetonUnsupBert);
    assert_eq!(princeton.pooler_flags(), ["--mlp only_train"]);
    let settings = Settings {
        directions: vec![Direction::QueryToDoc, Direction::DocToQuery],
        partition_mode: Partition::PerDirection,
        matryoshka_dims: vec![384, 64],
        ..Settings::default()
    };
    assert_eq!(
        settings.objective_flags(),
        ["--directions query_to_doc,doc_to_query", "--partition-mode per_direction", "--matryoshka-dims 384,64"]
    );
    let variants = Settings { focal_m: Some(0.3), off_dropout: true, dup_rate: 0.32, ..Settings::default() };
    assert_eq!(variants.objective_flags(), ["--focal-m 0.3", "--off-dropout", "--dup-rate 0.32"]);
}

#[test]
fn no_two_batches_share_masks() {
    let settings = Settings { gradient_accumulation_steps: 3, ..Settings::default() };
    let batches = (0..4).flat_map(|step| (0..3).map(move |number| (step, number)));
    let found: Vec<u32> = batches.map(|(step, number)| settings.dropout(step, number).step).collect();
    assert_eq!(found, (0..12).collect::<Vec<_>>());
}

#[test]
fn the_warm_up_is_a_share_or_a_number_of_steps() {
    let default = Settings::default();
    assert_eq!(default.warmup_steps_of(288), 29);
    assert_eq!(default.clone().with_recipe(Recipe::St2021).warmup_steps_of(288), 28);
    assert_eq!(default.clone().with_recipe(Recipe::St6).warmup_steps_of(288), 0);
    assert_eq!(Settings { warmup_steps: Some(500), ..default }.warmup_steps_of(288), 500);
}

#[test]
fn setting_a_value_resets_the_one_it_replaces() {
    let mut settings = Settings { max_steps: Some(9), ..Settings::default().with_recipe(Recipe::St6) };
    settings.set("warmup-ratio", "0.5").unwrap();
    settings.set("epochs", "3").unwrap();
    assert_eq!((settings.warmup_steps, settings.warmup_ratio), (None, 0.5));
    assert_eq!((settings.max_steps, settings.epochs), (None, 3));
}

#[test]
fn texts_that_are_not_values_are_refused() {
    let refused = |name: &str, text: &str| Settings::default().set(name, text).unwrap_err().to_string();
    assert_eq!(refused("batch_size", "many"), "--batch-size: expected a whole number, 0 or more, found many");
    assert_eq!(refused("batch_size", "-1"), "--batch-size: expected a whole number, 0 or more, found -1");
    assert_eq!(
        refused("pooling", "avg"),
        "--pooling: expected mean, cls, max, mean_sqrt_len_tokens, weightedmean or lasttoken, found avg"
    );
    assert_eq!(refused("precision", "f16"), "--precision: expected f32, bf16 or auto, found f16");
    assert_eq!(
        refused("recipe", "7"),
        "--recipe: expected st-2021, st-6, princeton-unsup-bert, princeton-unsup-roberta, \
         princeton-sup-bert or princeton-sup-roberta, found 7"
    );
    assert_eq!(refused("no_such", "7"), "--no_such: expected the name of a setting, found an unknown name");
}

#[test]
fn a_text_is_taken_unchanged_and_an_empty_one_is_none() {
    let mut settings = Settings::default();
    for text in ["1e3", "true", " query: ", "two\nlines \"quoted\""] {
        settings.set("prompt", text).unwrap();
        assert_eq!(settings.prompt, text);
        let written = toml::to_string(&settings).unwrap();
        assert_eq!(toml::from_str::<Settings>(&written).unwrap(), settings, "{written}");
    }
    let changed = settings.check_same(&Settings::default()).unwrap_err().to_string();
    assert!(changed.starts_with("--prompt: the run started with two\nlines"), "{changed}");
    settings.set("prompt", "").unwrap();
    assert!(!toml::to_string(&settings).unwrap().contains("prompt"));
    settings.check_same(&Settings::default()).unwrap();
    let error = toml::from_str::<Settings>("prompt = 5").unwrap_err();
    assert!(error.message().contains("prompt: expected a text, found 5"), "{error}");
}

#[test]
fn reports_are_named_as_in_transformers() {
    let of = |text: &str| {
        let mut settings = Settings::default();
        settings.set("report_to", text).map(|()| settings.report_to).map_err(|error| error.to_string())
    };
    assert_eq!(of("all"), Ok(ReportTo::ALL));
    assert_eq!(of("none"), Ok(ReportTo::NONE));
    assert_eq!(of("csv, tensorboard"), Ok(ReportTo::ALL));
    assert_eq!(of("tensorboard"), Ok(ReportTo { tensorboard: true, csv: false }));
    let refused = of("tensorboard,wandb").unwrap_err();
    assert!(
        refused.starts_with("--report-to: expected tensorboard, csv, all or none, separated by commas"),
        "{refused}"
    );
    let read = |text: &str| toml::from_str::<Settings>(text).map(|settings| settings.report_to).ok();
    for text in ["report_to = \"csv,tensorboard\"", "report_to = [\"all\"]"] {
        assert_eq!(read(text), Some(ReportTo::ALL), "{text}");
    }
}

#[test]
fn written_settings_are_read_back() {
    let numbers = Settings {
        max_steps: Some(7),
        hidden_dropout: 0.15,
        scale: 14.285_714,
        learning_rate: 3.1e-5,
        load_best_model_at_end: true,
        directions: vec![Direction::QueryToDoc, Direction::DocToDoc],
        matryoshka_dims: vec![384, 64],
        matryoshka_weights: vec![1.0, 0.3],
        report_to: ReportTo { csv: true, ..ReportTo::NONE },
        seed: LARGEST,
        ..Settings::default()
    };
    let recipes = Recipe::ALL.iter().map(|&recipe| Settings::default().with_recipe(recipe));
    for settings in recipes.chain([Settings::default(), numbers]) {
        let text = toml::to_string(&settings).unwrap();
        assert_eq!(toml::from_str::<Settings>(&text).unwrap(), settings, "{text}");
    }
    let text = toml::to_string(&Settings::default()).unwrap();
    assert!(text.contains("warmup_ratio = 0.1\n") && text.contains("hidden_dropout = 0.1\n"), "{text}");
}

#[test]
fn an_error_in_a_file_says_once_what_was_expected() {
    let refused = |text: &str| toml::from_str::<Settings>(text).unwrap_err().message().to_owned();
    let expected = "batch_sampler: expected no-duplicates or batch, found random";
    assert_eq!(refused("batch_sampler = 'random'"), expected);
    assert_eq!(refused("scale = 'big'"), "scale: expected a number, found big");
    assert!(refused("no_such = 1").contains("no_such: expected the name of a setting"));
}

#[test]
fn every_default_can_be_given_as_a_flag() {
    for setting in Settings::TABLE {
        let default = setting.default().filter(|_| setting.default_text.is_none());
        for text in default.iter().filter(|_| !setting.is_switch()) {
            setting.accepts(text).unwrap();
        }
        assert!(!setting.help.trim().is_empty() && !setting.help.ends_with('.'), "{}", setting.name);
    }
}
