//! `http`: one request, as the node sees the network.

use super::{Machine, MachineError};
use crate::request::{Request, Response};

impl Machine {
    /// Sends a request. Any status is an answer.
    ///
    /// # Errors
    /// When no answer came.
    pub fn http(&self, request: &Request) -> Result<Response, MachineError> {
        Ok(self.host().request(request)?)
    }
}
