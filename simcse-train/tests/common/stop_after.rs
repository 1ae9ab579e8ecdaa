/// Asks a run to stop after a number of steps.
pub(crate) struct StopAfter {
    pub(crate) steps: u64,
    pub(crate) done: u64,
}

impl simcse_train::Callbacks for StopAfter {
    fn on_step_end(&mut self, record: &simcse_train::StepRecord, _: u64) {
        self.done = record.step;
    }

    fn stop_requested(&self) -> bool {
        self.done >= self.steps
    }
}
