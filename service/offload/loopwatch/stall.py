"""One thing that held the loop, as it was measured; `records` makes of it what people read."""

from dataclasses import dataclass, field

from offload.documents.stalls import StallKind
from offload.loopwatch.judge import Evidence
from offload.loopwatch.samples import Sample
from offload.loopwatch.step_clock import Scope
from offload.loopwatch.suspects import Suspect


@dataclass(slots=True)
class Stall:
    """`samples` name the line, if any was taken in it; with `is_over` false it still lasts."""

    kind: StallKind
    scope: Scope | None
    held_ns: int
    ended_ns: int
    samples: list[Sample]
    evidence: Evidence
    suspects: list[Suspect] = field(default_factory=list)
    is_over: bool = True
