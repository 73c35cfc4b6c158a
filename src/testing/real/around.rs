//! The site around the container: its declaration, and the guests that it reads artifacts from, created in a sandbox.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::super::{Declared, Kind, create, twice};
use super::Options;
use crate::artifact::{Artifact, Artifacts};
use crate::engine::record;
use crate::event::Failure;
use crate::host::Host as _;
use crate::model::{Address, Cidr, Guest, GuestId, LxcNeeds, RealRun, ScriptKind, ScriptSpec, Site};
use crate::op::Place;
use crate::plan::{self, Plan, Request, Verb};
use crate::sandbox::{self, Sandbox, World};
use crate::script::{Library, Models, TestFile};

/// How far behind the real time the modelled guests are made, because making them takes minutes of theirs.
const BEFORE: Duration = Duration::from_secs(3600);

/// What the script is run in.
pub(super) struct Around {
    /// The guest as its test file describes it.
    pub declared: Declared,
    site: Site,
    id: GuestId,
    /// The container's features in the order in which they run, then its app.
    pub scripts: Vec<(ScriptKind, String)>,
    /// What these need of the container.
    pub needs: LxcNeeds,
}

/// The same with a container, and everybody else running.
pub(super) struct Staged {
    pub site: Arc<Site>,
    pub id: GuestId,
    pub sandbox: Arc<Sandbox>,
    pub artifacts: Artifacts,
    /// Addresses of the modelled guests.
    pub neighbours: Vec<IpAddr>,
}

impl Around {
    /// The declarations: one guest with the script and what it needs, and those that publish what it reads.
    pub(super) fn new(
        library: &Library,
        spec: &ScriptSpec,
        file: Option<&TestFile>,
        wanted: &RealRun,
        options: &Options,
    ) -> Result<Around, Failure> {
        let mut params = file.map(TestFile::params).unwrap_or_default();
        params.extend(wanted.params.clone());
        let guest = file.map(TestFile::guest).unwrap_or_default();
        let mut declared = twice::declared(library, (spec.kind, &spec.name), &params, &guest)?;
        declared.kind = Kind::Lxc;
        let mut site = declared.site().map_err(Failure::new)?;
        let (id, guest) = site.guests.first_mut().ok_or_else(|| Failure::new("a site without guests"))?;
        let id = *id;
        for name in guest.features.iter().filter(|name| **name != spec.name) {
            let file = TestFile::load(library, ScriptKind::Feature, name);
            let RealRun { params, .. } =
                file.map_or_else(|| Ok(RealRun::default()), |file| file.real()).map_err(Failure::new)?;
            guest.params.entry(name.clone()).or_default().extend(params);
        }
        for (script, params) in &options.params {
            guest.params.entry(script.clone()).or_default().extend(params.clone());
        }
        let plan = planned(&site, library, &[id])?;
        let planned = plan.guests.into_iter().find(|guest| guest.id == id);
        let planned = planned.ok_or_else(|| Failure::new("a plan without its guest"))?;
        Ok(Around { declared, site, id, scripts: planned.scripts, needs: planned.needs })
    }

    /// The guest as it is declared.
    pub(super) fn guest(&self) -> &Guest {
        &self.site.guests[&self.id]
    }

    /// The site, for scripts that look at the node before there is a container.
    pub(super) fn site(&self) -> Arc<Site> {
        Arc::new(self.site.clone())
    }

    /// Puts the container in its place, and creates everybody else.
    pub(super) fn stage(
        &self,
        library: &Library,
        models: &Models,
        container: (GuestId, Cidr),
        wanted: &RealRun,
    ) -> Result<Staged, Failure> {
        let mut site = self.site.clone();
        let mut guest = site.guests.shift_remove(&self.id).ok_or_else(|| Failure::new("a site without its guest"))?;
        let others: Vec<GuestId> = site.guests.keys().copied().collect();
        let addresses = site.guests.values().flat_map(|guest| &guest.nics).filter_map(|nic| nic.address.cidr());
        let neighbours = addresses.map(|cidr| cidr.address).collect();
        let id = container.0;
        guest.id = id;
        guest.nics.truncate(1);
        guest.nics.iter_mut().for_each(|nic| nic.address = Address::Static(container.1));
        site.guests.insert(id, guest);
        let site = Arc::new(site);

        let models = sandbox::Options { programs: Arc::new(models.clone()), strict: true, ..Default::default() };
        let sandbox = Arc::new(Sandbox::in_memory(World::fresh(&site), models));
        let artifacts = Artifacts::default();
        for (name, value) in &wanted.artifacts {
            artifacts.publish(Artifact { name: name.clone(), publisher: id, value: value.clone() });
        }
        if !others.is_empty() {
            if let Ok(ahead) = Duration::try_from(jiff::Timestamp::now().duration_since(sandbox.now())) {
                sandbox.sleep(ahead.saturating_sub(BEFORE)).map_err(|error| Failure::new(error.to_string()))?;
            }
            create::run(&sandbox, library, &site, &others)
                .map_err(|cause| Failure { message: format!("a modelled guest: {}", cause.message), ..cause })?;
            for artifact in published(&sandbox)? {
                artifacts.publish(artifact);
            }
        }
        for (name, value) in &self.declared.artifacts {
            // What a test hands in may not be what programs take; what a modelled guest published is.
            if artifacts.get(name, &others).is_none() && !wanted.artifacts.contains_key(name) {
                artifacts.publish(Artifact { name: name.clone(), publisher: id, value: value.clone() });
            }
        }
        Ok(Staged { site, id, sandbox, artifacts, neighbours })
    }
}

fn planned(site: &Site, library: &Library, targets: &[GuestId]) -> Result<Plan, Failure> {
    let request = Request::new(Verb::Create, targets.iter().copied());
    plan::make(site, library.catalogue(), &request).map_err(|error| Failure::new(error.to_string()))
}

/// What the guests of a sandbox published.
fn published(sandbox: &Sandbox) -> Result<Vec<Artifact>, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(error.to_string());
    let records = sandbox.perform(Place::Node, &[record::read_all()]).map_err(|error| failed(&error))?;
    let Some(records) = records.first() else { return Ok(Vec::new()) };
    let records = record::parse_all(records).map_err(|error| failed(&error))?;
    Ok(records.into_values().flat_map(|record| record.published).collect())
}
