"""The five guides that the course is built from: what each says of a situation, and where they contradict."""

from course_lib.choose.guides import lesson4, module9, overview, practices, selector
from course_lib.choose.guides.advice import Advice, Statement
from course_lib.choose.guides.contradictions import Contradiction, contradictions
from course_lib.choose.guides.scenarios import SCENARIOS, Scenario
from course_lib.choose.situation import Situation

__all__ = ["GUIDES", "SCENARIOS", "Advice", "Comparison", "Contradiction", "Scenario", "Statement", "compare_guides"]

GUIDES = {
    "module9": module9,
    "lesson4": lesson4,
    "overview": overview,
    "practices": practices,
    "selector": selector,
}


class Comparison(list[Advice]):
    """The guides' advice in the order of `GUIDES`, and the pairs of statements that contradict each other."""

    def __init__(self, advice, contradictions: tuple[Contradiction, ...]):
        super().__init__(advice)
        self.contradictions = contradictions


def compare_guides(situation: Situation) -> Comparison:
    """What each of the five guides says of a situation; what counts as a contradiction, `contradictions` defines."""
    advice = [guide.advise(situation) for guide in GUIDES.values()]
    said = [s for one in advice for s in (*(s for s in one.statements if s.says == one.says), *one.statements)]
    return Comparison(advice, contradictions(said, situation))
