//! Finds the known name a mistyped one was meant to be.

/// The name among `known` that takes the fewest edits, when that is few enough to be a slip.
pub(super) fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let tolerated = (typed.chars().count() / 3).clamp(2, 6);
    known
        .map(|name| (edits(typed, name), name))
        .filter(|(distance, _)| *distance <= tolerated)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Counts insertions, deletions, replacements and swaps of neighbours between two names (optimal string alignment).
fn edits(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut above_that: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    let mut previous: Option<char> = None;
    for (row, &l) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        let mut r_previous: Option<char> = None;
        for (column, &r) in right.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX / 2);
            let replaced = at(&above, column) + usize::from(l != r);
            let mut best = replaced.min(at(&above, column + 1) + 1).min(at(&current, column) + 1);
            if previous == Some(r) && r_previous == Some(l) && l != r {
                best = best.min(at(&above_that, column.wrapping_sub(1)) + 1);
            }
            current.push(best);
            r_previous = Some(r);
        }
        above_that = std::mem::replace(&mut above, current);
        previous = Some(l);
    }
    above.last().copied().unwrap_or(left.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        for (left, right, expected) in [
            ("", "", 0),
            ("", "ab", 2),
            ("abc", "abc", 0),
            ("abc", "acb", 1),
            ("port", "prot", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(edits(left, right), expected, "{left} {right}");
            assert_eq!(edits(right, left), expected, "{right} {left}");
        }
    }

    #[test]
    fn names_the_nearest_or_nothing() {
        let known = ["hostname", "port", "jwt_secret"];
        assert_eq!(nearest("hostnam", known.into_iter()), Some("hostname"));
        assert_eq!(nearest("prot", known.into_iter()), Some("port"));
        assert_eq!(nearest("entirely_else", known.into_iter()), None);
    }
}
