//! How a folder defines its system: a table of functions, with the one implementation of [`System`] for all of them.

use std::sync::Arc;

use mixer::{
    Case, Cost, CpuKernel, GpuTarget, Info, Memory, MixerError, Parallel, Params, Plan, Problem, SpotCheck,
    SpotDraw, System,
};

use crate::dims::check_elements;

/// What [`Definition::cpu`] returns.
pub(crate) type Prepared = Result<Box<dyn CpuKernel>, MixerError>;

/// A system by its parts; each field is the method of [`System`] of the same name, where its contract stands.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    pub(crate) info: &'static Info,
    pub(crate) seeded_case: fn(&Problem, &Params) -> Result<Case, MixerError>,
    pub(crate) cost: fn(&Problem, &Params) -> Result<Cost, MixerError>,
    pub(crate) reference: fn(&Case) -> Result<Vec<f64>, MixerError>,
    /// Operations that the reference counts: tests hold the cost against them.
    #[cfg(test)]
    pub(crate) operations: fn(&Case) -> Result<mixer::OpCount, MixerError>,
    pub(crate) spot_check: fn(&Case, SpotDraw) -> Result<SpotCheck, MixerError>,
    pub(crate) cpu: fn(&Arc<Case>, &Memory, &dyn Parallel) -> Prepared,
    pub(crate) gpu: fn(&Case, &GpuTarget) -> Result<Plan, MixerError>,
}

impl System for Definition {
    fn info(&self) -> &'static Info {
        self.info
    }

    fn seeded_case(&self, problem: &Problem, params: &Params) -> Result<Case, MixerError> {
        problem.validate()?;
        (self.seeded_case)(problem, params)
    }

    fn cost(&self, problem: &Problem, params: &Params) -> Result<Cost, MixerError> {
        problem.validate_planned()?;
        (self.cost)(problem, params)
    }

    fn reference(&self, case: &Case) -> Result<Vec<f64>, MixerError> {
        check_elements(&case.config)?;
        (self.reference)(case)
    }

    fn spot_check(&self, case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
        check_elements(&case.config)?;
        (self.spot_check)(case, draw)
    }

    fn cpu(&self, case: &Arc<Case>, memory: &Memory, parallel: &dyn Parallel) -> Prepared {
        check_elements(&case.config)?;
        (self.cpu)(case, memory, parallel)
    }

    fn gpu(&self, case: &Case, target: &GpuTarget) -> Result<Plan, MixerError> {
        check_elements(&case.config)?;
        (self.gpu)(case, target)
    }
}
