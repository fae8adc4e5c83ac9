"""What the agent knows of a study whose arms are being compared."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from counterweight.contracts.messages import Compared, ComparisonRefused
from service.persistence import comparing, queue
from service.persistence.queue import Claim
from service.persistence.tables import Study
from workers.processes import ComparisonProcess


@dataclass
class Comparing:
    """The arms of a study being compared."""

    claim: Claim
    process: ComparisonProcess

    def record(self, session: Session, answer: Compared | ComparisonRefused | None, crash: str, now: datetime) -> None:
        """Write what was found, or that the process died (`crash` says how) before it found anything; LostClaim when it is too late."""
        if isinstance(answer, Compared):
            comparing.record(session, self.claim, answer.results, now)
            return
        study = queue.lock(session, Study, self.claim)
        if answer is None:
            comparing.crash(session, study, crash, now)
        else:
            comparing.refuse(session, study, answer.detail, now)
