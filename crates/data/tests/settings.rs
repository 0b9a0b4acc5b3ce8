//! The settings as a run's TOML file holds them.

use npair_data::{
    Amount, AugmentConfig, Channels, Fill, GlyphConfig, PipelineConfig, RandAugment, Resize, SplitConfig,
};

#[test]
fn a_pipeline_is_read_and_written() {
    let text = r#"
        channels = "rgb"
        size = 224
        resize = { short-side = 256 }
        filter = "catmull-rom"
        mean = [0.5]
        [augment]
        rotate = 10.0
        scale = [0.9, 1.1]
        crop = true
        fill = { value = 1.0 }
    "#;
    let config: PipelineConfig = toml::from_str(text).unwrap();
    let augment = AugmentConfig {
        rotate: 10.0,
        scale: [0.9, 1.1],
        crop: true,
        fill: Fill::Value(1.0),
        ..AugmentConfig::default()
    };
    assert_eq!((config.channels, config.size, config.resize), (Channels::Rgb, 224.into(), Resize::ShortSide(256)));
    assert_eq!((config.augment, config.std.as_slice()), (augment, &[1.0][..]));
    let [strong, drawings] = [PipelineConfig::photos_strong(64), PipelineConfig::drawings(64)];
    for config in
        [config, strong, drawings, PipelineConfig::default(), PipelineConfig::strokes(28), PipelineConfig::photos(224)]
    {
        assert_eq!(toml::from_str::<PipelineConfig>(&toml::to_string(&config).unwrap()).unwrap(), config);
    }
    let exact: PipelineConfig = toml::from_str("resize = \"exact\"\naugment = { fill = \"edge\" }").unwrap();
    assert_eq!(exact, PipelineConfig::default());
}

#[test]
fn changes_of_photographs_are_read_and_written() {
    let text = r#"
        resized_crop = [0.3, 1]
        flip_vertical = 0.5
        rand_augment = { operations = 3, magnitude = 12 }
        brightness = 0.4
        contrast = 0.3
        saturation = 0.2
        hue = 0.1
        grayscale = 0.2
        blur = 0.5
        blur_sigma = [0.1, 1.5]
        erasing = 0.25
    "#;
    let config: AugmentConfig = toml::from_str(text).unwrap();
    let rand_augment = Some(RandAugment { operations: 3, magnitude: 12.0 });
    assert_eq!((config.resized_crop, config.rand_augment), (Some([0.3, 1.0]), rand_augment));
    assert_eq!((config.hue, config.blur_sigma, config.erasing), (0.1, [0.1, 1.5], 0.25));
    assert_eq!(toml::from_str::<AugmentConfig>(&toml::to_string(&config).unwrap()).unwrap(), config);
    let usual: AugmentConfig = toml::from_str("rand_augment = {}").unwrap();
    assert_eq!(usual.rand_augment, Some(RandAugment { operations: 2, magnitude: 9.0 }));
    // Off is left out where it has no value of its own, and settings of earlier releases are still read.
    assert!(!toml::to_string(&AugmentConfig::default()).unwrap().contains("rand_augment"));
    let why = |text: &str| toml::from_str::<AugmentConfig>(text).unwrap_err().to_string();
    assert!(why("rand_augment = { strength = 3 }").contains("strength"));
    assert!(why("resized_crop = 0.3").contains("resized_crop"));
}

#[test]
fn unknown_keys_are_errors() {
    let why = |text: &str| toml::from_str::<PipelineConfig>(text).unwrap_err().to_string();
    assert!(why("sise = 28").contains("sise"));
    assert!(why("[augment]\nrotation = 3.0").contains("rotation"));
    assert!(toml::from_str::<GlyphConfig>("klasses = 3").is_err());
    let wrong = "by = \"classes\"\ntest = 0.2\nvalidation = 3";
    assert!(toml::from_str::<SplitConfig>(wrong).unwrap_err().to_string().contains("validation"));
}

#[test]
fn amounts_are_numbers_or_fractions() {
    let split: SplitConfig = toml::from_str("by = \"instances\"\nval = 2\ntest = 0.25").unwrap();
    assert_eq!(split, SplitConfig::Instances { val: Amount::Count(2), test: Amount::Fraction(0.25) });
    let split: SplitConfig = toml::from_str("by = \"groups\"\ntest = [\"Greek\"]").unwrap();
    assert_eq!(split, SplitConfig::Groups { val: vec![], test: vec!["Greek".into()] });
    for split in [split, SplitConfig::ClassNames { val: vec!["a".into()], test: vec![] }] {
        assert_eq!(toml::from_str::<SplitConfig>(&toml::to_string(&split).unwrap()).unwrap(), split);
    }
    assert!(toml::from_str::<SplitConfig>("by = \"classes\"\ntest = \"many\"").is_err());
}
