"""Print an access token for a member of staff, whom a password alone does not let use the API in production."""

from datetime import timedelta
from typing import Any

import structlog
from django.core.management.base import BaseCommand, CommandError, CommandParser

from veza.core.api import sessions
from veza.core.durations import parse_duration
from veza.core.models import SignInMethod, User

log = structlog.get_logger(__name__)
LONGEST = timedelta(hours=8)


class Command(BaseCommand):
    help = "Print an API access token for a member of staff, for example for the acceptance run (STAFF_TOKEN)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="the log-in of the member of staff")
        parser.add_argument("--for", dest="lifetime", default="1h", help="how long the token works, at most 8h (1h)")

    def handle(self, *, email: str, lifetime: str, **options: Any) -> None:
        user = User.objects.filter(email=email.strip().lower(), is_staff=True, is_active=True).first()
        if user is None:
            raise CommandError(f"{email} is not the log-in of a member of staff whose account is open.")
        try:
            access_for = parse_duration(lifetime)
        except ValueError as error:
            raise CommandError(f"--for {lifetime}: {error}.") from None
        if not timedelta() < access_for <= LONGEST:
            raise CommandError(f"--for {lifetime}: a staff token works for more than 0s and at most 8h.")
        session = sessions.begin(user, SignInMethod.OPERATOR, access_for=access_for)
        log.warning("staff_session_begun", user=str(user.pk), expires_in=session.expires_in)
        self.stdout.write(session.access_token)
