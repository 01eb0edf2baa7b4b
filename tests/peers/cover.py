"""Cases in which every two choices meet: few cases find what two arguments do to each other."""

from itertools import combinations


def pairs(case):
    """All pairs of choices in a case, which is {argument: the index of its choice}, as a set."""
    return {frozenset(two) for two in combinations(case.items(), 2)}


def possible_pairs(choices, possible):
    """The pairs of choices that a case may have; `choices` is {argument: how many there are}."""
    return {
        frozenset([(a, i), (b, j)])
        for a, b in combinations(choices, 2)
        for i in range(choices[a])
        for j in range(choices[b])
        if possible({a: i, b: j})
    }


def cover(choices, possible):
    """Cases that have all possible pairs.

    Each case begins with the first pair that is left, and gets one argument after the other, each with the choice that
    makes the most pairs that no case has yet. An argument without a possible choice stays out.
    """
    left = dict.fromkeys(sorted(possible_pairs(choices, possible), key=lambda pair: _place(pair, list(choices))))
    cases = []
    while left:
        case = dict(next(iter(left)))
        for name, count in choices.items():
            grown = [case | {name: index} for index in range(count) if name not in case]
            grown = [new for new in grown if possible(new)]
            if grown:
                case = max(grown, key=lambda new: sum(pair in left for pair in _new(new, name)))
        for pair in pairs(case):
            left.pop(pair, None)
        cases.append(case)
    return cases


def _new(case, name):
    chosen = (name, case[name])
    return [frozenset([chosen, other]) for other in case.items() if other != chosen]


def _place(pair, names):
    return sorted((names.index(name), index) for name, index in pair)
