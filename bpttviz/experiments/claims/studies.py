"""All studies, by the number of their claim."""

from __future__ import annotations

from bpttviz.experiments.claims.ends import FewRelaxations, Methods
from bpttviz.experiments.claims.forgotten import Forgotten
from bpttviz.experiments.claims.procedures import LearnedSteps, OtherProcedures
from bpttviz.experiments.claims.study import Study
from bpttviz.experiments.claims.valleys import Valleys

# The trainings of claim 1 give the rows of claim 2 as well.
STUDIES: dict[int, Study] = {
    1: Methods(), 2: Methods(), 3: OtherProcedures(), 4: LearnedSteps(), 5: FewRelaxations(),
    6: Forgotten(), 7: Valleys(),
}  # fmt: skip
