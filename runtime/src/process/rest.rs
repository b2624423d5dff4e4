//! How long a process rests after a crash: not at all the first time, then longer with each crash, as Heroku
//! does it.

use std::time::Duration;

use wpaas_slug::Limits;

/// Counts the crashes in a row of one dyno.
#[derive(Debug, Default)]
pub(crate) struct Crashes(u32);

impl Crashes {
    /// The process has ended after it ran for `ran`. Returns the rest before it is started again.
    pub(crate) fn ended(&mut self, ran: Duration, limits: &Limits) -> Duration {
        let longest = Limits::ms(limits.crash_rest_max_ms);
        if ran >= longest {
            self.0 = 0;
        }
        let before = self.0;
        self.0 = before.saturating_add(1);
        match before.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => {
                let factor = 2_u32.saturating_pow(doublings);
                Limits::ms(limits.crash_rest_ms).saturating_mul(factor).min(longest)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_limit_and_forgets_after_a_long_run() {
        let limits = Limits { crash_rest_ms: 10, crash_rest_max_ms: 45, ..Limits::default() };
        let mut crashes = Crashes::default();
        let mut rest = |ran| crashes.ended(Limits::ms(ran), &limits).as_millis();
        assert_eq!([0; 6].map(&mut rest), [0, 10, 20, 40, 45, 45]);
        assert_eq!([45, 44].map(&mut rest), [0, 10]);
        let mut crashes = Crashes(u32::MAX);
        assert_eq!(crashes.ended(Duration::ZERO, &limits).as_millis(), 45);
    }
}
