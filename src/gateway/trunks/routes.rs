//! Dial rules: which trunk a number goes to, and how it is written there.
//!
//! A number for which there are rules but none fits is refused with 404; without any rule all go to the first trunk.
//! We do not guess what a number means (`+`, `00`, an area code), because a site's plan is its own.

use super::policy::Route;

/// One way for a number to go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The trunk: its place in the configuration.
    pub(crate) trunk: usize,
    /// The number as it is written there.
    pub(crate) number: String,
}

/// All rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes(Vec<Route>);

impl Routes {
    pub(crate) fn new(rules: Vec<Route>) -> Routes {
        Routes(rules)
    }

    /// Returns the ways for this number, best first; each trunk once.
    pub(crate) fn choose(&self, caller: &str, number: &str) -> Vec<Choice> {
        if self.0.is_empty() {
            return vec![Choice { trunk: 0, number: number.to_owned() }];
        }
        let mut choices: Vec<Choice> = Vec::new();
        for rule in self.0.iter().filter(|rule| rule.fits(caller, number)) {
            if let Some(number) = rule.rewrite(number)
                && choices.iter().all(|choice| choice.trunk != rule.trunk)
            {
                choices.push(Choice { trunk: rule.trunk, number });
            }
        }
        choices
    }
}

impl Route {
    fn fits(&self, caller: &str, number: &str) -> bool {
        number.starts_with(&self.prefix)
            && (self.numbers.is_empty() || self.numbers.iter().any(|set| set.contains(number)))
            && (self.callers.is_empty() || self.callers.iter().any(|set| set.contains(caller)))
    }

    /// Returns the number as the trunk is to see it; `None` where nothing would be left.
    fn rewrite(&self, number: &str) -> Option<String> {
        let rest: String = number.chars().skip(self.strip).collect();
        let written = format!("{}{rest}", self.add);
        (!written.is_empty()).then_some(written)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::config::DnSet;
    use super::*;

    fn range(first: u64, last: u64) -> DnSet {
        DnSet::Range { first, last, digits: 4 }
    }

    fn choice(trunk: usize, number: &str) -> Choice {
        Choice { trunk, number: number.to_owned() }
    }

    #[test]
    fn without_rules_every_number_goes_to_the_first_trunk_as_it_is() {
        assert_eq!(Routes::default().choose("5001", "+4930123"), [choice(0, "+4930123")]);
    }

    #[test]
    fn a_prefix_is_stripped_and_another_added() {
        let rule = Route { prefix: "0".into(), trunk: 1, strip: 1, add: "+49".into(), ..Route::default() };
        let routes = Routes::new(vec![rule]);
        assert_eq!(routes.choose("5001", "030123"), [choice(1, "+4930123")]);
        assert_eq!(routes.choose("5001", "130123"), []);
    }

    #[test]
    fn a_range_of_numbers_takes_those_of_its_length_alone() {
        let rule = Route { numbers: vec![range(6000, 6999)], ..Route::default() };
        let routes = Routes::new(vec![rule]);
        assert_eq!(routes.choose("5001", "6500"), [choice(0, "6500")]);
        assert_eq!(routes.choose("5001", "65000"), []);
        assert_eq!(routes.choose("5001", "7000"), []);
    }

    #[test]
    fn a_rule_of_some_dns_is_not_for_the_others() {
        let office = Route { prefix: "9".into(), callers: vec![range(5001, 5099)], trunk: 1, ..Route::default() };
        let routes = Routes::new(vec![office, Route { prefix: "6".into(), ..Route::default() }]);
        assert_eq!(routes.choose("5050", "9123"), [choice(1, "9123")]);
        assert_eq!(routes.choose("5100", "9123"), []);
    }

    #[test]
    fn all_rules_that_fit_are_tried_in_their_order_each_trunk_once() {
        let to = |trunk, add: &str| Route { trunk, add: add.into(), ..Route::default() };
        let routes = Routes::new(vec![to(2, ""), to(0, "7"), to(2, "8")]);
        assert_eq!(routes.choose("5001", "1"), [choice(2, "1"), choice(0, "71")]);
    }

    #[test]
    fn a_number_of_which_nothing_is_left_goes_nowhere() {
        let routes = Routes::new(vec![Route { strip: 5, ..Route::default() }]);
        assert_eq!(routes.choose("5001", "123"), []);
    }
}
