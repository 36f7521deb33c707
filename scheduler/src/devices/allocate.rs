//! The search for devices: the first way to meet all requests of a pod on a node, with the requests, their alternatives
//! and the devices tried in the order that they are given in.

use std::collections::HashMap;

use mainstay_api::devices::tolerates;

use super::capacity::Amounts;
use super::choice::Choice;
use super::offers::{Market, Offer, Pool};
use super::request::{Alternative, Wish};
use super::taken::Taken;
use super::{capacity, constraint, counters};

/// Devices of a claim at the most.
const RESULTS_MAX: usize = 32;
/// Steps of a search at the most: some that would fail take longer than anybody wants to wait.
const STEPS_MAX: u32 = 200_000;
const NOTHING: &str = "cannot allocate all claims";
const TOO_LONG: &str = "timed out trying to allocate devices";

/// Where a search is.
#[derive(Clone, Copy)]
struct Spot<'s, 'a> {
    claim: usize,
    request: usize,
    alternative: &'s Alternative<'a>,
}

/// One search.
pub(super) struct Search<'s, 'a> {
    wishes: &'s [Wish<'a>],
    pools: &'s [Pool<'a>],
    market: &'s Market<'a>,
    taken: &'s Taken<'a>,
    /// What is chosen so far, a list a claim.
    chosen: Vec<Vec<Choice<'s, 'a>>>,
    /// Which alternative selects which offer, as far as that was looked at.
    selected: HashMap<(usize, usize), bool>,
    steps: u32,
    /// Why an alternative that wants all devices was given up.
    flaw: Option<String>,
}

impl<'s, 'a> Search<'s, 'a> {
    pub(super) fn new(
        wishes: &'s [Wish<'a>],
        pools: &'s [Pool<'a>],
        market: &'s Market<'a>,
        taken: &'s Taken<'a>,
    ) -> Self {
        let chosen = wishes.iter().map(|_| Vec::new()).collect();
        Self { wishes, pools, market, taken, chosen, selected: HashMap::new(), steps: 0, flaw: None }
    }

    /// The devices of each claim.
    ///
    /// # Errors
    /// Why there are none, in Kubernetes' words.
    pub(super) fn run(mut self) -> Result<Vec<Vec<Choice<'s, 'a>>>, String> {
        match self.meet(0, 0)? {
            true => Ok(self.chosen),
            false => Err(self.flaw.unwrap_or_else(|| NOTHING.to_owned())),
        }
    }

    /// Meets this request and all after it.
    fn meet(&mut self, claim: usize, request: usize) -> Result<bool, String> {
        self.step()?;
        let wishes = self.wishes;
        let Some(wish) = wishes.get(claim) else { return Ok(true) };
        let Some(alternatives) = wish.requests.get(request) else { return self.meet(claim + 1, 0) };
        for alternative in alternatives {
            let spot = Spot { claim, request, alternative };
            let met = match alternative.count {
                Some(count) => self.some(spot, count, 0)?,
                None => self.all(spot)?,
            };
            if met {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// So many devices, of the offers from `first` on: another order of the same devices is no other way.
    fn some(&mut self, spot: Spot<'s, 'a>, left: usize, first: usize) -> Result<bool, String> {
        if left == 0 {
            return self.meet(spot.claim, spot.request + 1);
        }
        if self.chosen[spot.claim].len() + left > RESULTS_MAX {
            return Ok(false);
        }
        let market = self.market;
        for (number, offer) in market.offers.iter().enumerate().skip(first) {
            self.step()?;
            let Some(choice) = self.choice(spot, number, offer)? else { continue };
            self.chosen[spot.claim].push(choice);
            if self.some(spot, left - 1, number)? {
                return Ok(true);
            }
            self.chosen[spot.claim].pop();
        }
        Ok(false)
    }

    /// All devices that are selected, of which there has to be one.
    fn all(&mut self, spot: Spot<'s, 'a>) -> Result<bool, String> {
        let (market, before) = (self.market, self.chosen[spot.claim].len());
        if let Some(flaw) = &market.flaw {
            self.flaw = Some(format!("request {}: asks for all devices, but {flaw}", spot.alternative.name));
            return Ok(false);
        }
        for (number, offer) in market.offers.iter().enumerate() {
            if !self.selects(spot.alternative, number, offer)? {
                continue;
            }
            let choice = self.choice(spot, number, offer)?;
            let full = self.chosen[spot.claim].len() >= RESULTS_MAX;
            let Some(choice) = choice.filter(|_| !full) else {
                self.chosen[spot.claim].truncate(before);
                return Ok(false);
            };
            self.chosen[spot.claim].push(choice);
        }
        if self.chosen[spot.claim].len() > before && self.meet(spot.claim, spot.request + 1)? {
            return Ok(true);
        }
        self.chosen[spot.claim].truncate(before);
        Ok(false)
    }

    /// The offer for this request, if it is free and suits.
    fn choice(
        &mut self,
        spot: Spot<'s, 'a>,
        number: usize,
        offer: &'s Offer<'a>,
    ) -> Result<Option<Choice<'s, 'a>>, String> {
        if !self.is_free(spot, offer) || !self.selects(spot.alternative, number, offer)? {
            return Ok(None);
        }
        let claim = &self.wishes[spot.claim];
        let suits = is_borne(spot.alternative, offer)
            && self.has_counters(offer)
            && constraint::meets(claim.constraints, spot.alternative, offer, &self.chosen[spot.claim]);
        if !suits {
            return Ok(None);
        }
        let Some(amounts) = self.amounts(spot.alternative, offer) else { return Ok(None) };
        let share = amounts.filter(|_| offer.is_shared());
        Ok(Some(Choice { alternative: spot.alternative, offer, share }))
    }

    /// Who looks after devices has each of them once, whoever else has it.
    fn is_free(&self, spot: Spot<'s, 'a>, offer: &Offer<'a>) -> bool {
        let id = offer.id();
        let in_claim = |list: &[Choice<'s, 'a>]| list.iter().any(|choice| choice.offer.id() == id);
        match (spot.alternative.admin, offer.is_shared()) {
            (true, _) => !in_claim(&self.chosen[spot.claim]),
            (false, true) => !self.taken.is_whole(&id),
            (false, false) => !self.taken.is_used(&id) && !self.chosen.iter().any(|list| in_claim(list)),
        }
    }

    fn has_counters(&self, offer: &Offer<'a>) -> bool {
        let is_used = |id: &[&str; 3]| {
            self.taken.is_used(id) || self.chosen.iter().flatten().any(|choice| choice.offer.id() == *id)
        };
        // A further share of a device takes no more counters.
        is_used(&offer.id()) || counters::suffice(&self.pools[offer.pool], offer.device, is_used)
    }

    /// What the request takes of the device's capacity: nothing is counted of who looks after it. The outer `None` if
    /// not enough is left.
    fn amounts(&self, alternative: &Alternative<'a>, offer: &Offer<'a>) -> Option<Option<Amounts>> {
        if alternative.admin {
            return Some(None);
        }
        let mut used = Amounts::new();
        if offer.is_shared() {
            used = self.taken.of(&offer.id());
            let same = self.chosen.iter().flatten().filter(|choice| choice.offer.id() == offer.id());
            for (name, amount) in same.filter_map(|choice| choice.share.as_ref()).flatten() {
                let sum = used.entry(name.clone()).or_default();
                *sum = sum.add(*amount);
            }
        }
        capacity::taken(alternative.capacity, offer.device, &used).map(Some)
    }

    /// Whether all expressions of the alternative select the offer.
    fn selects(&mut self, alternative: &Alternative<'a>, number: usize, offer: &Offer<'a>) -> Result<bool, String> {
        let key = (alternative.number, number);
        if let Some(known) = self.selected.get(&key) {
            return Ok(*known);
        }
        let mut selected = true;
        for (place, selector) in &alternative.selectors {
            let compiled = (**selector).as_ref();
            let selector = compiled.map_err(|why| format!("{place}: CEL compile error: {why}"))?;
            let outcome = selector.selects(&offer.slice.spec.driver, offer.device);
            selected = outcome.map_err(|why| format!("{place}: CEL runtime error: {why}"))?;
            if !selected {
                break;
            }
        }
        self.selected.insert(key, selected);
        Ok(selected)
    }

    fn step(&mut self) -> Result<(), String> {
        self.steps += 1;
        if self.steps > STEPS_MAX { Err(TOO_LONG.to_owned()) } else { Ok(()) }
    }
}

/// Whether the request bears the taints of the device that keep others away.
fn is_borne(alternative: &Alternative<'_>, offer: &Offer<'_>) -> bool {
    let mut hard = offer.device.taints.iter().flatten().filter(|taint| taint.effect != "None");
    hard.all(|taint| alternative.tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}
