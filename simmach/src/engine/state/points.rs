//! Passes of points. The strikes that are bound to a pass happen within the poll of the code that passes.

use crate::engine::acts::{AnchorEvent, PointFault};
use crate::engine::ids::Scope;
use crate::engine::points::{Pass, Points};
use crate::engine::record::event::Event;
use crate::engine::state::Engine;

impl Engine {
    /// Handles a pass of a point by the running code.
    pub(crate) fn pass_point(&self, name: &str) -> PointFault {
        let scope = self.scope();
        let pass = Pass { machine: scope.machine, point: Points::number(name) };
        self.trace(Event::PointPassed { machine: pass.machine, point: pass.point });
        let armed = self.points.begin(pass, name);
        self.map_keys.uncounted(|| {
            self.acts.note_event(self, || AnchorEvent::Point {
                machine: pass.machine,
                point: pass.point,
            });
            self.as_scope(Scope::HARNESS, || while self.carry_out_act_at(pass) {});
            for armed in armed {
                self.as_scope(armed.scope, || (armed.strike)(pass.machine));
            }
        });
        // The strike may have ended the process whose code is running.
        let has_ended =
            self.current_task().is_some_and(|task| self.tasks.with(task, |_| ()).is_none());
        let fault = self.points.end();
        if has_ended {
            self.set_scope(Scope { alive: false, ..scope });
            return PointFault::End;
        }
        fault
    }
}
