"""What an operator wants of an acceptance run."""

from dataclasses import dataclass
from pathlib import Path

STAGING, PRODUCTION = "staging", "production"


@dataclass(frozen=True)
class Wishes:
    """`environment` is what Veza's status has to say: sandbox for the dry run, live for the production run."""

    base_url: str
    email: str
    password: str
    environment: str = "sandbox"
    pay: str = "browser"
    refund: str = "ask"
    staff: bool = False
    staff_email: str = ""
    staff_password: str = ""
    product: str = ""
    license: str = "personal"
    limit_minor: int = 0
    report_dir: Path = Path("docs")
    poll_seconds: float = 2.0
    patience_seconds: float = 300.0

    @property
    def live(self) -> bool:
        return self.environment == "live"

    @property
    def run(self) -> str:
        """Which of the two passes this is: the one with play money, or the one with a real card."""
        return PRODUCTION if self.live else STAGING
