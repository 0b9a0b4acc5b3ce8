use super::blur::blur;
use super::canvas::Canvas;
use super::color::{Jitter, grey};
use super::rand_augment::Step;
use super::rectangle::{Rectangle, Window};
use super::{AugmentConfig, Fill};
use crate::draw::{between, unit};
use npair_types::ChaCha8Rng;

/// One draw of what an [`AugmentConfig`] does to the pixels of the result, in the order in which it is done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Looks {
    steps: Vec<Step>,
    jitter: Option<Jitter>,
    grey: bool,
    /// Sigma.
    blur: Option<f32>,
    erased: Option<Rectangle>,
}

impl Looks {
    /// What is off draws nothing; what is on always draws as much.
    pub(crate) fn random(config: &AugmentConfig, rng: &mut ChaCha8Rng) -> Self {
        let steps = config.rand_augment.map(|settings| Step::random(settings, rng)).unwrap_or_default();
        let jitter = Jitter::random(config, rng);
        let grey = happens(config.grayscale, rng);
        let blur = (config.blur > 0.0)
            .then(|| {
                let (happens, [low, high]) = (happens(config.blur, rng), config.blur_sigma);
                let sigma = between(rng, low, high);
                happens.then_some(sigma)
            })
            .flatten();
        let erased = (config.erasing > 0.0)
            .then(|| {
                let happens = happens(config.erasing, rng);
                let rectangle = Rectangle::random(AugmentConfig::ERASED_AREA, rng);
                happens.then_some(rectangle)
            })
            .flatten();
        Self { steps, jitter, grey, blur, erased }
    }

    /// All but the erasing.
    pub(crate) fn apply(&self, canvas: &mut Canvas, fill: Fill) {
        self.steps.iter().for_each(|step| step.apply(canvas, fill));
        if let Some(jitter) = &self.jitter {
            jitter.apply(canvas);
        }
        if self.grey {
            grey(canvas);
        }
        if let Some(sigma) = self.blur {
            blur(canvas, sigma);
        }
    }

    /// Sets what is erased to 0, the mean; the values are normalised ones.
    pub(crate) fn erase(&self, canvas: &mut Canvas) {
        let Some(rectangle) = &self.erased else { return };
        let (wide, high) = (canvas.width(), canvas.height());
        let Window { left, top, width, height } =
            rectangle.within(wide as u32, high as u32, AugmentConfig::ERASED_ASPECT);
        for plane in canvas.planes() {
            for row in plane.chunks_exact_mut(wide).skip(top as usize).take(height as usize) {
                row[left as usize..(left + width) as usize].fill(0.0);
            }
        }
    }
}

/// Whether something of this probability happens; a draw only if it can.
pub(crate) fn happens(probability: f32, rng: &mut ChaCha8Rng) -> bool {
    probability > 0.0 && unit(rng) < probability
}
